//! Test histories: written by hand, generated at random, and recorded from a simulated linearizable register.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Action, Answer, At, History, Operation, Outcome, Read};

fn operation(session: &str, key: &str, times: [u64; 2], action: Action, answer: Answer) -> Operation {
    Operation {
        session: session.into(),
        key: key.into(),
        action,
        request: None,
        node: None,
        invoked_at: At(times[0]),
        returned_at: Some(At(times[1])),
        outcome: Outcome::Ok(answer),
    }
}

pub(crate) fn put(session: &str, key: &str, from: u64, to: u64, value: &str) -> Operation {
    let action = Action::Put { value: value.into() };
    operation(session, key, [from, to], action, Answer::Done { version: None })
}

pub(crate) fn delete(session: &str, key: &str, from: u64, to: u64) -> Operation {
    operation(session, key, [from, to], Action::Delete, Answer::Done { version: None })
}

pub(crate) fn add(session: &str, key: &str, from: u64, to: u64, by: i64, sum: i64) -> Operation {
    operation(session, key, [from, to], Action::Add { by }, Answer::Sum { value: sum, version: None })
}

pub(crate) fn seen(session: &str, key: &str, from: u64, to: u64, value: &str) -> Operation {
    let answer = Answer::Found { value: value.into(), version: None };
    operation(session, key, [from, to], Action::Get { read: Read::Latest }, answer)
}

pub(crate) fn absent(session: &str, key: &str, from: u64, to: u64) -> Operation {
    operation(session, key, [from, to], Action::Get { read: Read::Latest }, Answer::Absent)
}

pub(crate) fn unknown(operation: Operation) -> Operation {
    Operation { outcome: Outcome::Unknown("timeout".into()), ..operation }
}

pub(crate) fn failed(operation: Operation) -> Operation {
    Operation { outcome: Outcome::Failed("not_written".into()), ..operation }
}

pub(crate) fn versioned(mut operation: Operation, given: u64) -> Operation {
    if let Outcome::Ok(
        Answer::Done { version } | Answer::Sum { version, .. } | Answer::Found { version, .. },
    ) = &mut operation.outcome
    {
        *version = Some(given);
    }
    operation
}

/// Generates any history at all.
pub(crate) fn any_history() -> impl Strategy<Value = History> {
    let text = || any::<String>();
    let version = || any::<Option<u64>>();
    let action = prop_oneof![
        text().prop_map(|value| Action::Put { value }),
        any::<i64>().prop_map(|by| Action::Add { by }),
        Just(Action::Delete),
        Just(Action::Get { read: Read::Local }),
        Just(Action::Get { read: Read::Latest }),
    ];
    let answer = prop_oneof![
        version().prop_map(|version| Answer::Done { version }),
        (any::<i64>(), version()).prop_map(|(value, version)| Answer::Sum { value, version }),
        (text(), version()).prop_map(|(value, version)| Answer::Found { value, version }),
        Just(Answer::Absent),
    ];
    let outcome = prop_oneof![
        answer.prop_map(Outcome::Ok),
        text().prop_map(Outcome::Failed),
        text().prop_map(Outcome::Unknown),
    ];
    let names = (text(), text(), any::<Option<String>>(), any::<Option<String>>());
    let operation = (names, action, any::<u64>(), any::<Option<u64>>(), outcome).prop_map(
        |((session, key, request, node), action, invoked, returned, outcome)| {
            let (invoked_at, returned_at) = (At(invoked), returned.map(At));
            Operation { session, key, action, request, node, invoked_at, returned_at, outcome }
        },
    );
    let initial = proptest::collection::btree_map(text(), text(), 0..3);
    (initial, proptest::collection::vec(operation, 0..20))
        .prop_map(|(initial, operations)| History { initial, operations })
}

/// The workload of a register.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    pub(crate) sessions: usize,
    pub(crate) keys: usize,
    pub(crate) operations: usize,
    /// The percentage of writes whose answer is lost.
    pub(crate) unknown_percent: u32,
    /// Keys with an odd number are only added to.
    pub(crate) counters: bool,
}

/// Generates a workload with numbers of keys and operations in these ranges.
pub(crate) fn use_of(keys: Range<usize>, operations: Range<usize>) -> impl Strategy<Value = Use> {
    (1..8_usize, keys, operations, 0..30_u32, any::<bool>()).prop_map(
        |(sessions, keys, operations, unknown_percent, counters)| Use {
            sessions,
            keys,
            operations,
            unknown_percent,
            counters,
        },
    )
}

/// The history of linearizable registers under a workload: each operation takes effect at one moment between
/// its invocation and its answer.
pub(crate) fn right(seed: u64, how: &Use) -> History {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut free_at = vec![0_u64; how.sessions];
    let mut planned = Vec::new();
    for number in 0..how.operations {
        let session = dice.random_range(0..how.sessions);
        let from = free_at[session] + dice.random_range(1..100);
        let to = from + dice.random_range(2..400);
        free_at[session] = to;
        let moment = dice.random_range(from + 1..to);
        let key = dice.random_range(0..how.keys);
        let action = match dice.random_range(0..100) {
            0..50 => Action::Get { read: Read::Latest },
            _ if how.counters && key % 2 == 1 => Action::Add { by: dice.random_range(1..=3) * 50 },
            50..60 => Action::Delete,
            _ => Action::Put { value: format!("v{number}") },
        };
        planned.push((moment, number, session, [from, to], format!("k{key}"), action));
    }
    planned.sort_by_key(|planned| (planned.0, planned.1));
    let mut records: BTreeMap<String, String> = BTreeMap::new();
    let mut operations = Vec::new();
    for (_, _, session, times, key, action) in planned {
        let is_lost =
            action != Action::Get { read: Read::Latest } && dice.random_range(0..100) < how.unknown_percent;
        let has_effect = !is_lost || dice.random();
        let before = records.get(&key).cloned();
        let answer = match &action {
            Action::Get { .. } => {
                before.map_or(Answer::Absent, |value| Answer::Found { value, version: None })
            }
            Action::Put { .. } | Action::Delete => Answer::Done { version: None },
            Action::Add { by } => {
                let value = before.map_or(0, |value| value.parse::<i64>().unwrap()) + by;
                Answer::Sum { value, version: None }
            }
        };
        let mut done = operation(&format!("s{session}"), &key, times, action, answer);
        if has_effect {
            match done.value_after() {
                Some(Some(value)) => records.insert(key, value),
                _ => records.remove(&key),
            };
        }
        if is_lost {
            done = unknown(done);
        }
        operations.push(done);
    }
    History::new(operations)
}

/// The history with one read changed to a value that had definitely been overwritten. `None` if there is no
/// read that could be changed like that.
pub(crate) fn with_one_stale_read(mut history: History, seed: u64) -> Option<History> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut choices = Vec::new();
    for (place, read) in history.operations.iter().enumerate().filter(|(_, read)| !read.is_write()) {
        let writes = || {
            history.operations.iter().filter(|write| write.key == read.key && write.is_acknowledged_write())
        };
        let last = writes()
            .filter(|write| write.surely_done_at() < read.invoked_at)
            .max_by_key(|write| write.invoked_at);
        let Some(last) = last else { continue };
        for old in writes().filter(|old| old.surely_done_at() < last.invoked_at) {
            if let Some(Some(value)) = old.value_after() {
                choices.push((place, value));
            }
        }
    }
    let (place, value) = choices.choose(&mut dice)?.clone();
    history.operations[place].outcome = Outcome::Ok(Answer::Found { value, version: None });
    Some(history)
}
