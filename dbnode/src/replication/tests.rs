//! Values in, values out.

use std::time::Duration;

use super::effect::{Effect, Refusal, Written};
use super::entry::{Change, Entry, Payload};
use super::input::{Action, Input, Moment, Ticket, Write};
use super::key::Key;
use super::role::Role;
use super::state::State;
use super::{Core, Limits};
use crate::client::Condition;
use crate::version::Version;

const NOW: Moment = Moment(Duration::from_secs(1));

fn core() -> Core {
    Core::new(State::default(), Vec::new(), Limits::default())
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
    Entry { index, term: 1, payload: Payload { key: Key::new(key).unwrap(), change, request: None } }
}

fn done(ticket: u64, version: u64) -> Effect {
    let written = Written { version: Version(version), sum: None };
    Effect::Acknowledge { ticket: Ticket(ticket), written }
}

fn summed(ticket: u64, version: u64, sum: i64) -> Effect {
    let written = Written { version: Version(version), sum: Some(sum) };
    Effect::Acknowledge { ticket: Ticket(ticket), written }
}

fn refused(ticket: u64, refusal: Refusal) -> Effect {
    Effect::Reject { ticket: Ticket(ticket), refusal }
}

/// Everything the core wants done about these, one after the other, at the same moment.
fn effects(core: &mut Core, inputs: impl IntoIterator<Item = Input>) -> Vec<Effect> {
    inputs.into_iter().flat_map(|input| core.step(NOW, input)).collect()
}

#[test]
fn a_write_is_acknowledged_and_seen_only_when_it_is_on_disk() {
    let mut core = core();
    assert_eq!(core.step(NOW, write(1, "a", put("x"))), [Effect::Persist(vec![entry(1, "a", "x", 0)])]);
    assert!(core.state().get("a").is_none(), "nobody may read what may yet be lost");
    assert_eq!(core.step(NOW, Input::Persisted { up_to: 1 }), [done(1, 1)]);
    assert_eq!(core.state().get("a").unwrap().value, "x");
}

#[test]
fn while_one_batch_is_written_the_next_one_gathers() {
    let mut core = core();
    core.step(NOW, write(1, "a", put("x")));
    assert_eq!(effects(&mut core, [write(2, "b", put("y")), write(3, "a", put("z"))]), []);
    assert_eq!(
        core.step(NOW, Input::Persisted { up_to: 1 }),
        [Effect::Persist(vec![entry(2, "b", "y", 1), entry(3, "a", "z", 0)]), done(1, 1)]
    );
    assert_eq!(core.step(NOW, Input::Persisted { up_to: 3 }), [done(2, 2), done(3, 3)]);
}

#[test]
fn a_batch_is_bounded_in_entries_and_in_bytes() {
    let limits = Limits { batch_entries: 2, batch_bytes: 1_000, ..Limits::default() };
    let mut core = Core::new(State::default(), Vec::new(), limits);
    let large = || Action::Put(vec![0; 2_000].into());
    let writes = [write(1, "a", large()), write(2, "b", put("y")), write(3, "c", put("y"))];
    effects(&mut core, writes.into_iter().chain([write(4, "d", large()), write(5, "e", put("y"))]));
    let sizes = [1, 3, 4, 5].map(|up_to| match core.step(NOW, Input::Persisted { up_to }).first() {
        Some(Effect::Persist(batch)) => batch.len(),
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
            write_if(2, "a", put("second"), Condition::IfVersion(Version(1))),
            write_if(3, "a", put("third"), Condition::IfVersion(Version(1))),
            write_if(4, "a", put("fourth"), Condition::IfAbsent),
            write_if(5, "b", put("first"), Condition::IfAbsent),
        ],
    );
    core.step(NOW, Input::Persisted { up_to: 1 });
    assert_eq!(
        core.step(NOW, Input::Persisted { up_to: 3 }),
        [done(2, 2), refused(3, Refusal::Conflict), refused(4, Refusal::Conflict), done(5, 3)]
    );
}

#[test]
fn a_refusal_that_refers_to_a_write_in_flight_waits_for_it() {
    let mut core = core();
    core.step(NOW, write(1, "a", put("x")));
    assert_eq!(core.step(NOW, write_if(2, "a", put("y"), Condition::IfAbsent)), []);
    assert_eq!(
        core.step(NOW, Input::Persisted { up_to: 1 }),
        [done(1, 1), refused(2, Refusal::Conflict)],
        "only now is it true that the record is there"
    );
    assert_eq!(
        core.step(NOW, write_if(3, "a", put("y"), Condition::IfAbsent)),
        [refused(3, Refusal::Conflict)]
    );
}

#[test]
fn additions_add_up_also_in_flight() {
    let mut core = core();
    effects(&mut core, [write(1, "n", Action::Add(50)), write(2, "n", Action::Add(-8))]);
    assert_eq!(effects(&mut core, [Input::Persisted { up_to: 1 }]).last(), Some(&summed(1, 1, 50)));
    assert_eq!(effects(&mut core, [Input::Persisted { up_to: 2 }]), [summed(2, 2, 42)]);
}

#[test]
fn nothing_is_added_to_what_is_no_number_or_would_overflow() {
    let snapshot = [entry(1, "text", "abc", 0), entry(2, "large", "9223372036854775807", 1)];
    let mut core = Core::new(State::default(), snapshot.into(), Limits::default());
    assert_eq!(core.step(NOW, write(1, "text", Action::Add(1))), [refused(1, Refusal::NotANumber)]);
    assert_eq!(core.step(NOW, write(2, "large", Action::Add(1))), [refused(2, Refusal::Overflow)]);
}

#[test]
fn a_named_write_has_effect_once_in_flight_and_later() {
    let mut core = core();
    effects(&mut core, [named_add(1, "deposit-7", 50), named_add(2, "deposit-7", 50)]);
    assert_eq!(core.step(NOW, Input::Persisted { up_to: 1 }), [summed(1, 1, 50), summed(2, 1, 50)]);
    assert_eq!(core.step(NOW, named_add(3, "deposit-7", 50)), [summed(3, 1, 50)]);
    assert_eq!(core.step(NOW, named_add(4, "deposit-7", 51)), [refused(4, Refusal::RequestIdReused)]);
    assert_eq!(core.state().get("account").unwrap().value, "50");
}

#[test]
fn a_full_disk_takes_back_the_batch_and_all_that_was_judged_by_it() {
    let mut core = core();
    core.step(NOW, write(1, "n", Action::Add(50)));
    effects(&mut core, [named_add(2, "deposit-7", 1), write(3, "n", Action::Add(1))]);
    assert_eq!(core.step(NOW, Input::DiskFull), [1, 2, 3].map(|ticket| refused(ticket, Refusal::DiskFull)),);
    core.step(NOW, write(4, "n", Action::Add(7)));
    assert_eq!(core.step(NOW, Input::Persisted { up_to: 1 }), [summed(4, 1, 7)]);
    core.step(NOW, named_add(5, "deposit-7", 1));
    assert_eq!(core.step(NOW, Input::Persisted { up_to: 2 }), [summed(5, 2, 1)]);
}

#[test]
fn after_a_failure_of_the_disk_nothing_is_acknowledged_any_more() {
    let mut core = core();
    effects(&mut core, [write(1, "a", put("x")), write(2, "b", put("y"))]);
    assert_eq!(
        core.step(NOW, Input::DiskFailed),
        [refused(1, Refusal::OutcomeUnknown), refused(2, Refusal::OutcomeUnknown), Effect::Halt]
    );
    assert_eq!(core.role(), Role::Stopped);
    assert_eq!(core.step(NOW, write(3, "c", put("z"))), [refused(3, Refusal::Stopped)]);
}

#[test]
fn a_client_that_waited_too_long_hears_that_nobody_knows_and_the_write_may_yet_happen() {
    let mut core = core();
    core.step(NOW, write(1, "a", put("x")));
    let later = Moment(NOW.0 + Limits::default().patience);
    assert_eq!(core.step(later, Input::TimePassed), [refused(1, Refusal::OutcomeUnknown)]);
    assert_eq!(core.step(later, Input::Persisted { up_to: 1 }), []);
    assert_eq!(core.state().get("a").unwrap().value, "x");
}

#[test]
fn more_clients_than_may_wait_are_sent_away() {
    let limits = Limits { waiting: 1, ..Limits::default() };
    let mut core = Core::new(State::default(), Vec::new(), limits);
    core.step(NOW, write(1, "a", put("x")));
    assert_eq!(core.step(NOW, write(2, "b", put("y"))), [refused(2, Refusal::Overloaded)]);
}

#[test]
fn a_long_log_is_folded_by_half_and_only_what_is_on_disk() {
    let limits = Limits { log_entries: 3, ..Limits::default() };
    let mut core = Core::new(State::default(), Vec::new(), limits);
    effects(&mut core, [write(1, "a", put("1")), write(2, "a", put("2"))]);
    effects(&mut core, [write(3, "a", put("3")), write(4, "a", put("4"))]);
    assert_eq!(core.step(NOW, Input::TimePassed), [], "nothing of it is on disk");
    core.step(NOW, Input::Persisted { up_to: 1 });
    assert_eq!(core.step(NOW, Input::TimePassed), [Effect::Fold(vec![entry(1, "a", "1", 0)])]);
    core.step(NOW, Input::Persisted { up_to: 4 });
    assert_eq!(core.step(NOW, Input::TimePassed), [], "one at a time");
    core.step(NOW, Input::Folded { up_to: 1 });
    assert_eq!(core.step(NOW, Input::TimePassed), [], "it is short enough now");
    assert_eq!((core.last_index(), core.committed_index()), (4, 4));
}

#[test]
fn a_restart_finds_the_same_state() {
    let mut core = core();
    effects(&mut core, [named_add(1, "deposit-7", 50), write(2, "b", put("y"))]);
    core.step(NOW, Input::Persisted { up_to: 1 });
    core.step(NOW, Input::Persisted { up_to: 2 });
    let log = core.log.oldest(0, 2);
    let mut restarted = Core::new(State::default(), log, Limits::default());
    assert_eq!(restarted.state(), core.state());
    assert_eq!(restarted.step(NOW, named_add(1, "deposit-7", 50)), [summed(1, 1, 50)]);
}
