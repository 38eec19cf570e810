//! The reference checker: it tries every order of a few operations, without any optimisation. The search must
//! agree with it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::search::{Found, search};
use crate::testing::{add, delete, failed, put, seen, unknown};
use crate::{Action, Answer, Operation, Outcome, Read};

/// A record's value, and the results of its writes with a request name.
#[derive(Clone, Default)]
struct Record {
    value: Option<String>,
    named: BTreeMap<String, Option<String>>,
}

/// True if some order of these operations on one record explains every answer.
fn some_order_explains(operations: &[Operation]) -> bool {
    let counts = |operation: &&Operation| !matches!(operation.outcome, Outcome::Failed(_));
    let left: Vec<_> = operations.iter().filter(counts).collect();
    go_on(&Record::default(), &left)
}

fn go_on(record: &Record, left: &[&Operation]) -> bool {
    // An operation without an answer may never happen.
    if left.iter().all(|operation| operation.answer().is_none()) {
        return true;
    }
    (0..left.len()).any(|place| {
        let mut others = left.to_vec();
        let next = others.remove(place);
        let is_first = others.iter().all(|other| other.surely_done_at() >= next.invoked_at);
        is_first && after(record, next).is_some_and(|record| go_on(&record, &others))
    })
}

/// Applies an operation to a record. `None` if its answer would have been another.
fn after(record: &Record, operation: &Operation) -> Option<Record> {
    let answered = |made: &Option<String>| match operation.answer() {
        Some(Answer::Sum { value, .. }) => *made == Some(value.to_string()),
        _ => true,
    };
    if let Some(made) = operation.request.as_ref().and_then(|name| record.named.get(name)) {
        return answered(made).then(|| record.clone());
    }
    let value = match (&operation.action, operation.answer()) {
        (Action::Get { .. }, None) => return Some(record.clone()),
        (Action::Get { .. }, Some(Answer::Found { value, .. })) => {
            return (record.value.as_ref() == Some(value)).then(|| record.clone());
        }
        (Action::Get { .. }, Some(_)) => return record.value.is_none().then(|| record.clone()),
        (Action::Put { value }, _) => Some(value.clone()),
        (Action::Delete, _) => None,
        (Action::Add { by }, _) => {
            let before: i64 = record.value.as_deref().map_or(Some(0), |value| value.parse().ok())?;
            Some((before + by).to_string())
        }
    };
    let mut record = Record { value: value.clone(), ..record.clone() };
    record.named.extend(operation.request.clone().map(|name| (name, value.clone())));
    answered(&value).then_some(record)
}

/// An operation with few values and close times, so that conflicts are frequent.
fn operation() -> impl Strategy<Value = Operation> {
    let times = (0..12_u64, 1..8_u64);
    let name = prop_oneof![4 => Just(None), 1 => Just(Some("once".to_owned()))];
    (0..6_u8, 1..4_i64, times, 0..8_u8, name).prop_map(|(what, value, (from, takes), outcome, name)| {
        let (to, text) = (from + takes, value.to_string());
        let operation = match what {
            0 => put("s", "k", from, to, &text),
            1 => add("s", "k", from, to, 1, value),
            2 => delete("s", "k", from, to),
            3 => Operation {
                action: Action::Get { read: Read::Latest },
                outcome: Outcome::Ok(Answer::Absent),
                ..delete("s", "k", from, to)
            },
            _ => seen("s", "k", from, to, &text),
        };
        let operation = Operation { request: name.filter(|_| what == 1), ..operation };
        match outcome {
            0 | 1 => unknown(operation),
            2 => failed(operation),
            _ => operation,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_search_agrees_with_trying_every_order(operations in proptest::collection::vec(operation(), 1..7)) {
        let mut sorted: Vec<&Operation> = operations.iter().collect();
        sorted.sort_by_key(|operation| operation.invoked_at);
        let wanted = if some_order_explains(&operations) { Found::Order } else { Found::None };
        prop_assert_eq!(search(None, &sorted, 1_000_000), wanted);
    }
}
