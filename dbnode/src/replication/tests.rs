//! Unit tests of the core of a single node. Clusters are simulated in `tests/simulation`, and shown
//! step by step in `tests/transcripts`.

use std::time::Duration;

use uuid::Uuid;

use super::disk::{Batch, Recovered};
use super::effect::{Effect, Halt, RejectReason, Written};
use super::entry::{self, Change, Entry, Payload};
use super::input::{Action, Input, Moment, Ticket, Write};
use super::key::Key;
use super::lead::{Awaited, Progress, ProgressState};
use super::life::Starts;
use super::member::Incarnation;
use super::role::{Role, RoleState};
use super::snapshot::Cursor;
use super::{Core, Limits, Setup, Timing};
use crate::replication::durability::Mode;
use dbclient::Condition;
use dbclient::Version;

const NOW: Moment = Moment(Duration::from_secs(1));

/// The index of a client's first entry; the first entry of every log forms the cluster.
const FIRST: u64 = 2;

fn setup(limits: Limits) -> Setup {
    Setup {
        name: "db-1".into(),
        incarnation: Incarnation(Uuid::from_u128(1)),
        starts: Starts::default(),
        members: vec!["db-1".into()],
        mode: Mode::Quorum,
        limits,
        timing: Timing::default(),
        seed: 1,
    }
}

/// A node that has formed a cluster of one.
fn core() -> Core {
    with(Limits::default())
}

fn with(limits: Limits) -> Core {
    let mut core = Core::new(setup(limits), Recovered::default(), NOW);
    core.step(NOW, Input::TimePassed);
    core.step(NOW, Input::Persisted);
    assert!(core.is_settled());
    core
}

fn write(ticket: u64, key: &str, action: Action) -> Input {
    write_if(ticket, key, action, Condition::Always)
}

fn write_if(ticket: u64, key: &str, action: Action, condition: Condition) -> Input {
    let key = Key::new(key).unwrap();
    Input::ClientWrites { ticket: Ticket(ticket), write: Write { key, action, condition, request: None } }
}

fn named_add(ticket: u64, name: &str, by: i64) -> Input {
    let write = Write {
        key: Key::new("account").unwrap(),
        action: Action::Add(by),
        condition: Condition::Always,
        request: Some(name.into()),
    };
    Input::ClientWrites { ticket: Ticket(ticket), write }
}

fn put(value: &'static str) -> Action {
    Action::Put(value.into())
}

fn entry(index: u64, key: &str, value: &'static str, page: u64) -> Entry {
    let change = Change::Put { value: value.into(), page };
    let write = entry::Write { key: Key::new(key).unwrap(), change, request: None };
    Entry { index, term: 1, payload: Payload::Write(write) }
}

fn persist(entries: impl Into<Vec<Entry>>) -> Effect {
    let entries = entries.into();
    let committed = FIRST - 1;
    Effect::Persist(Batch { entries, committed, ..Batch::default() })
}

fn done(ticket: u64, index: u64) -> Effect {
    let written = Written { version: Version::of(1, index), sum: None };
    Effect::Acknowledge { ticket: Ticket(ticket), written }
}

fn summed(ticket: u64, index: u64, sum: i64) -> Effect {
    let written = Written { version: Version::of(1, index), sum: Some(sum) };
    Effect::Acknowledge { ticket: Ticket(ticket), written }
}

fn refused(ticket: u64, refusal: RejectReason) -> Effect {
    Effect::Reject { ticket: Ticket(ticket), refusal }
}

/// The effects of these inputs, handled one after the other at the same moment.
fn effects(core: &mut Core, inputs: impl IntoIterator<Item = Input>) -> Vec<Effect> {
    inputs.into_iter().flat_map(|input| core.step(NOW, input)).collect()
}

#[test]
fn a_write_is_acknowledged_and_seen_only_when_it_is_on_disk() {
    let mut core = core();
    assert_eq!(core.step(NOW, write(1, "a", put("x"))), [persist([entry(2, "a", "x", 0)])]);
    assert!(core.state().get("a").is_none(), "nobody may read what may yet be lost");
    assert_eq!(core.step(NOW, Input::Persisted), [done(1, 2)]);
    assert_eq!(core.state().get("a").unwrap().value, "x");
}

#[test]
fn while_one_batch_is_written_the_next_one_gathers() {
    let mut core = core();
    core.step(NOW, write(1, "a", put("x")));
    assert_eq!(effects(&mut core, [write(2, "b", put("y")), write(3, "a", put("z"))]), []);
    assert_eq!(
        core.step(NOW, Input::Persisted),
        [
            Effect::Persist(Batch {
                entries: vec![entry(3, "b", "y", 1), entry(4, "a", "z", 0)],
                committed: 1,
                ..Batch::default()
            }),
            done(1, 2)
        ]
    );
    assert_eq!(core.step(NOW, Input::Persisted), [done(2, 3), done(3, 4)]);
}

#[test]
fn a_batch_is_bounded_in_entries_and_in_bytes() {
    let limits = Limits { batch_entries: 2, batch_bytes: 1_000, ..Limits::default() };
    let mut core = with(limits);
    let large = || Action::Put(vec![0; 2_000].into());
    let writes = [write(1, "a", large()), write(2, "b", put("y")), write(3, "c", put("y"))];
    effects(&mut core, writes.into_iter().chain([write(4, "d", large()), write(5, "e", put("y"))]));
    let sizes = [(); 4].map(|()| match core.step(NOW, Input::Persisted).first() {
        Some(Effect::Persist(batch)) => batch.entries.len(),
        _ => 0,
    });
    assert_eq!(sizes, [2, 1, 1, 0]);
}

#[test]
fn a_condition_is_judged_by_the_state_as_it_will_be() {
    let mut core = core();
    core.step(NOW, write(1, "a", put("x")));
    effects(
        &mut core,
        [
            write_if(2, "a", put("second"), Condition::IfVersion(Version::of(1, 2))),
            write_if(3, "a", put("third"), Condition::IfVersion(Version::of(1, 2))),
            write_if(4, "a", put("fourth"), Condition::IfAbsent),
            write_if(5, "b", put("first"), Condition::IfAbsent),
        ],
    );
    core.step(NOW, Input::Persisted);
    assert_eq!(
        core.step(NOW, Input::Persisted),
        [done(2, 3), refused(3, RejectReason::Conflict), refused(4, RejectReason::Conflict), done(5, 4)]
    );
}

#[test]
fn a_refusal_that_refers_to_a_write_in_flight_waits_for_it() {
    let mut core = core();
    core.step(NOW, write(1, "a", put("x")));
    assert_eq!(core.step(NOW, write_if(2, "a", put("y"), Condition::IfAbsent)), []);
    assert_eq!(
        core.step(NOW, Input::Persisted),
        [done(1, 2), refused(2, RejectReason::Conflict)],
        "only now is it true that the record is there"
    );
    assert_eq!(
        core.step(NOW, write_if(3, "a", put("y"), Condition::IfAbsent)),
        [refused(3, RejectReason::Conflict)]
    );
}

#[test]
fn additions_add_up_also_in_flight() {
    let mut core = core();
    effects(&mut core, [write(1, "n", Action::Add(50)), write(2, "n", Action::Add(-8))]);
    assert_eq!(effects(&mut core, [Input::Persisted]).last(), Some(&summed(1, 2, 50)));
    assert_eq!(effects(&mut core, [Input::Persisted]), [summed(2, 3, 42)]);
}

#[test]
fn nothing_is_added_to_what_is_no_number_or_would_overflow() {
    let mut core = core();
    effects(&mut core, [write(8, "text", put("abc")), write(9, "large", put("9223372036854775807"))]);
    effects(&mut core, [Input::Persisted, Input::Persisted]);
    assert_eq!(core.step(NOW, write(1, "text", Action::Add(1))), [refused(1, RejectReason::NotANumber)]);
    assert_eq!(core.step(NOW, write(2, "large", Action::Add(1))), [refused(2, RejectReason::Overflow)]);
}

#[test]
fn a_named_write_has_effect_once_in_flight_and_later() {
    let mut core = core();
    effects(&mut core, [named_add(1, "deposit-7", 50), named_add(2, "deposit-7", 50)]);
    assert_eq!(core.step(NOW, Input::Persisted), [summed(1, 2, 50), summed(2, 2, 50)]);
    assert_eq!(core.step(NOW, named_add(3, "deposit-7", 50)), [summed(3, 2, 50)]);
    assert_eq!(core.step(NOW, named_add(4, "deposit-7", 51)), [refused(4, RejectReason::RequestIdReused)]);
    assert_eq!(core.state().get("account").unwrap().value, "50");
}

/// A node that remembers request ids for ten seconds.
fn with_window() -> Core {
    with(Limits { names_kept: Duration::from_secs(10), ..Limits::default() })
}

fn after(seconds: u64) -> Moment {
    NOW + Duration::from_secs(seconds)
}

/// The sum it acknowledges for an addition of 50 with this request id, at this time.
fn add_after(core: &mut Core, seconds: u64, name: &str) -> Option<i64> {
    core.step(after(seconds), named_add(seconds, name, 50));
    let effects = core.step(after(seconds), Input::TimePassed);
    let mut told = effects;
    if core.log.is_persisting() {
        told.extend(core.step(after(seconds), Input::Persisted));
    }
    told.into_iter().find_map(|effect| match effect {
        Effect::Acknowledge { written, .. } => written.sum,
        _ => None,
    })
}

#[test]
fn a_name_is_remembered_for_its_time_however_many_come_after_it_and_then_forgotten() {
    let mut core = with_window();
    assert_eq!(add_after(&mut core, 0, "deposit"), Some(50));
    for number in 0..200_000 {
        let name = format!("other-{number}");
        core.step(after(9), named_add(number + 10, &name, 0));
        if number % 1_000 == 999 {
            while core.log.is_persisting() {
                core.step(after(9), Input::Persisted);
            }
        }
    }
    let told = core.step(after(10), named_add(1, "deposit", 50));
    assert_eq!(told, [summed(1, 2, 50)], "at the end of its time");
    core.step(after(11), named_add(2, "one-more", 0));
    core.step(after(11), Input::Persisted);
    assert_eq!(core.state().requests().get("deposit"), None, "and with the next name it is forgotten");
    assert!(core.state().requests().get("other-0").is_some());
}

#[test]
fn where_there_is_no_memory_for_a_name_it_is_refused_and_no_other_is_forgotten() {
    let limits = Limits { names_bytes: 400, names_kept: Duration::from_secs(10), ..Limits::default() };
    let mut core = with(limits);
    for (second, name) in [(0, "first"), (1, "second"), (2, "third")] {
        assert!(add_after(&mut core, second, name).is_some());
    }
    assert_eq!(core.step(after(3), named_add(1, "fourth", 50)), [refused(1, RejectReason::TooManyNames)]);
    assert_eq!(core.step(after(3), named_add(2, "first", 50)), [summed(2, 2, 50)], "what is known is known");
    core.step(after(3), write(3, "a", put("x")));
    assert!(matches!(core.step(after(3), Input::Persisted)[..], [Effect::Acknowledge { .. }]));
    assert!(add_after(&mut core, 11, "fourth").is_some(), "the first is old enough now");
}

#[test]
fn after_a_restart_a_name_is_remembered_for_as_long_as_before_at_least() {
    let mut core = with_window();
    add_after(&mut core, 5, "deposit");
    let found = Recovered { entries: core.log.oldest(0, 2), committed: 1, ..Recovered::default() };
    let limits = Limits { names_kept: Duration::from_secs(10), ..Limits::default() };
    // The process clock starts over.
    let start = Moment(Duration::ZERO);
    let mut restarted = Core::new(setup(limits), found, start);
    restarted.step(start, Input::TimePassed);
    restarted.step(start, Input::Persisted);
    restarted.step(start, Input::Persisted);
    let later = start + Duration::from_secs(9);
    assert_eq!(restarted.step(later, named_add(1, "deposit", 50)), [summed(1, 2, 50)]);
    let later = start + Duration::from_secs(12);
    restarted.step(later, named_add(2, "other", 1));
    restarted.step(later, Input::Persisted);
    assert_eq!(restarted.state().requests().get("deposit"), None);
}

#[test]
fn a_full_disk_takes_back_the_batch_and_all_that_was_judged_by_it() {
    let mut core = core();
    core.step(NOW, write(1, "n", Action::Add(50)));
    effects(&mut core, [named_add(2, "deposit-7", 1), write(3, "n", Action::Add(1))]);
    assert_eq!(
        core.step(NOW, Input::DiskFull),
        [1, 2, 3].map(|ticket| refused(ticket, RejectReason::DiskFull))
    );
    assert_eq!(
        core.step(NOW, write(4, "n", Action::Add(7))),
        [refused(4, RejectReason::DiskFull)],
        "not at once"
    );
    let later = NOW + Duration::from_millis(200);
    core.step(later, write(5, "n", Action::Add(7)));
    assert_eq!(core.step(later, Input::Persisted), [summed(5, 2, 7)]);
    core.step(later, named_add(6, "deposit-7", 1));
    assert_eq!(core.step(later, Input::Persisted), [summed(6, 3, 1)]);
}

#[test]
fn after_a_failure_of_the_disk_nothing_is_acknowledged_any_more() {
    let mut core = core();
    effects(&mut core, [write(1, "a", put("x")), write(2, "b", put("y"))]);
    assert_eq!(
        core.step(NOW, Input::DiskFailed),
        [
            refused(1, RejectReason::OutcomeUnknown),
            refused(2, RejectReason::OutcomeUnknown),
            Effect::Halt(Halt::DiskFailed)
        ]
    );
    assert_eq!(core.role(), Role::Stopped);
    assert_eq!(core.step(NOW, write(3, "c", put("z"))), [refused(3, RejectReason::Stopped)]);
}

#[test]
fn a_client_that_waited_too_long_hears_that_nobody_knows_and_the_write_may_yet_happen() {
    let mut core = core();
    core.step(NOW, write(1, "a", put("x")));
    let later = Moment(NOW.0 + Limits::default().patience);
    assert_eq!(core.step(later, Input::TimePassed), [refused(1, RejectReason::OutcomeUnknown)]);
    assert_eq!(core.step(later, Input::Persisted), []);
    assert_eq!(core.state().get("a").unwrap().value, "x");
}

#[test]
fn more_clients_than_may_wait_are_sent_away() {
    let limits = Limits { waiting: 1, ..Limits::default() };
    let mut core = with(limits);
    core.step(NOW, write(1, "a", put("x")));
    assert_eq!(core.step(NOW, write(2, "b", put("y"))), [refused(2, RejectReason::Overloaded)]);
}

#[test]
fn a_long_log_is_compacted_by_half_and_only_what_is_on_disk() {
    let limits = Limits { log_entries: 4, batch_entries: 1, ..Limits::default() };
    let mut core = with(limits);
    effects(&mut core, (1..=4).map(|ticket| write(ticket, "a", put("x"))));
    let compact = |core: &mut Core| match core.step(NOW, Input::TimePassed).as_slice() {
        [] => 0,
        [Effect::Compact(entries)] => entries.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(compact(&mut core), 1, "only the first is on disk");
    effects(&mut core, [Input::Persisted, Input::Persisted]);
    assert_eq!(compact(&mut core), 0, "one at a time");
    core.step(NOW, Input::Compacted { up_to: 1 });
    assert_eq!(compact(&mut core), 0, "it is short enough now");
    core.step(NOW, write(5, "a", put("x")));
    assert_eq!(compact(&mut core), 2, "half of five stays, and one more");
}

/// The first and last index of the entries compacted at a timer tick.
fn compacted(core: &mut Core, now: Moment) -> Option<(u64, u64)> {
    let effects = core.step(now, Input::TimePassed);
    effects.iter().find_map(|effect| match effect {
        Effect::Compact(entries) => Some((entries[0].index, entries.last().unwrap().index)),
        _ => None,
    })
}

#[test]
fn without_room_all_that_is_applied_is_compacted_and_then_it_is_tried_again_at_once() {
    let mut core = core();
    effects(&mut core, (1..=4).map(|ticket| write(ticket, "a", put("x"))));
    effects(&mut core, [Input::Persisted, Input::Persisted]);
    assert_eq!(compacted(&mut core, NOW), None, "it is not long");
    core.step(NOW, write(5, "a", put("y")));
    core.step(NOW, Input::DiskFull);
    assert!(core.has_no_room());
    assert_eq!(compacted(&mut core, NOW), Some((1, 5)));
    core.step(NOW, Input::NotCompacted);
    assert_eq!(compacted(&mut core, NOW), None, "it rests");
    let later = NOW + Duration::from_secs(1);
    assert_eq!(compacted(&mut core, later), Some((1, 5)));
    core.step(later, Input::Compacted { up_to: 5 });
    assert_eq!(compacted(&mut core, later), None, "there is nothing left to compact");
    let taken = core.step(later, write(6, "a", put("z")));
    assert!(matches!(taken.as_slice(), [Effect::Persist(_)]), "{taken:?}");
    core.step(later, Input::Persisted);
    assert!(!core.has_no_room());
}

#[test]
fn while_there_is_little_room_a_shorter_log_is_compacted_and_its_newest_part_stays() {
    let mut core = core();
    let large = || Action::Put(vec![0; 1 << 20].into());
    for ticket in 1..=12 {
        effects(&mut core, [write(ticket, "a", large()), Input::Persisted]);
    }
    assert_eq!(compacted(&mut core, NOW), None);
    core.step(NOW, Input::Room { is_short: true });
    assert_eq!(compacted(&mut core, NOW), Some((1, 12)), "of 13 one stays");
    core.step(NOW, Input::Compacted { up_to: 12 });
    assert_eq!(compacted(&mut core, NOW), None, "it is short now");
}

#[test]
fn a_restart_finds_the_same_state_and_leads_again_at_once() {
    let mut core = core();
    effects(&mut core, [named_add(1, "deposit-7", 50), write(2, "b", put("y"))]);
    effects(&mut core, [Input::Persisted, Input::Persisted]);
    let found = Recovered { entries: core.log.oldest(0, 3), committed: 1, ..Recovered::default() };
    let mut restarted = Core::new(setup(Limits::default()), found, NOW);
    let ballot = restarted.step(NOW, Input::TimePassed);
    assert!(matches!(ballot.as_slice(), [Effect::Persist(Batch { ballot: Some(_), .. })]), "{ballot:?}");
    assert_eq!(restarted.role(), Role::Candidate, "its own vote does not count before it is on disk");
    restarted.step(NOW, Input::Persisted);
    restarted.step(NOW, Input::Persisted);
    assert!(restarted.is_settled());
    assert_eq!(restarted.step(NOW, named_add(1, "deposit-7", 50)), [summed(1, 2, 50)]);
    assert_eq!(restarted.state().get("b"), core.state().get("b"));
    assert_eq!(restarted.term(), 1, "it had no ballot on disk");
}

/// While clients read the latest values, their rounds leave no heartbeat round that is due.
#[test]
fn a_snapshot_that_was_lost_on_the_way_is_sent_again_however_many_rounds_reads_begin() {
    let mut core = core();
    let RoleState::Primary(lead) = &mut core.role_state else { panic!("it is the primary") };
    let mut progress = Progress::unknown(None, FIRST, NOW);
    progress.state = ProgressState::Snapshot { awaited: Awaited::Chunk(Cursor::START), moved: NOW };
    lead.progress.insert("db-2".into(), progress);
    for round in 1..=40 {
        let now = NOW + Duration::from_millis(100) * round;
        core.begin_round(now, &mut Vec::new());
        core.step(now, Input::TimePassed);
    }
    let state = &core.lead().unwrap().progress["db-2"].state;
    assert!(matches!(state, ProgressState::Probe(_)), "{state:?}");
}
