//! Lost writes: acknowledged writes that are missing from the final state.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::operation::{Action, At, Operation};
use crate::order::Record;

/// The final state: the value of each record that was read at the end.
pub type Final = BTreeMap<String, Option<String>>;

/// The acknowledged writes to one record that are lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Lost {
    /// The key of the record.
    pub key: String,
    /// Its final value; absent if the record does not exist.
    pub found: Option<String>,
    /// The writes that are definitely lost.
    pub writes: Vec<Operation>,
    /// For a record that was only added to, the least amount missing from the acknowledged additions.
    pub missing: Option<i64>,
    /// The least number of lost writes: it may be known that some are lost, but not which.
    pub at_least: usize,
}

/// Finds the acknowledged writes that are lost, by key. `found` was read after everything else. A record that
/// was not read is not reported as lost; see [`unread`].
pub fn judge(history: &History, found: &Final) -> Vec<Lost> {
    let records = Record::all(history);
    let looked_at = records.iter().filter_map(|(key, record)| Some((*key, record, found.get(*key)?)));
    looked_at.filter_map(|(key, record, value)| lost(key, record, value)).collect()
}

/// The records of a history without a final read, about which nothing can be said.
pub fn unread<'a>(history: &'a History, found: &Final) -> Vec<&'a str> {
    history.by_key().into_keys().filter(|key| !found.contains_key(*key)).collect()
}

fn lost(key: &str, record: &Record<'_>, found: &Option<String>) -> Option<Lost> {
    let missing = missing(record, found);
    let largest = record.acknowledged().filter_map(added).max().unwrap_or(1).max(1);
    let by_sum = missing.map_or(0, |missing| (missing as u64).div_ceil(largest as u64) as usize);
    let writes: Vec<_> = match record.source_of(found, None, At::NEVER) {
        Some(last) => {
            let newer =
                |write: &&Operation| record.source(write).is_some_and(|written| last.is_older_than(&written));
            record.acknowledged().filter(newer).cloned().collect()
        }
        None => Vec::new(),
    };
    let at_least = by_sum.max(writes.len());
    (at_least > 0).then(|| Lost { key: key.into(), found: found.clone(), writes, missing, at_least })
}

/// The amount by which the record falls short of its acknowledged additions, whatever happened to those with
/// an unknown outcome. `None` if the record was not only added to, or if nothing is missing.
fn missing(record: &Record<'_>, found: &Option<String>) -> Option<i64> {
    let found = number(found.as_deref())?;
    let mut least = number(record.initial())?;
    let mut names = BTreeSet::new();
    let writes = || record.operations.iter().copied().filter(|operation| operation.may_have_written());
    if !writes().all(|write| added(write).is_some()) {
        return None;
    }
    // A write repeated under one name counts once.
    let mut is_first = |write: &Operation| write.request.clone().is_none_or(|name| names.insert(name));
    for write in record.acknowledged().filter(|write| is_first(write)) {
        least = least.checked_add(added(write)?)?;
    }
    for write in writes().filter(|write| write.answer().is_none()) {
        least = least.checked_add(added(write)?.min(0))?;
    }
    (least > found).then(|| least - found)
}

fn added(write: &Operation) -> Option<i64> {
    match write.action {
        Action::Add { by } => Some(by),
        Action::Put { .. } | Action::Delete | Action::Get { .. } => None,
    }
}

fn number(value: Option<&str>) -> Option<i64> {
    value.map_or(Some(0), |value| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{add, delete, put, unknown};

    fn check(operations: Vec<Operation>, found: Option<&str>) -> usize {
        let found = Final::from([("k".into(), found.map(str::to_owned))]);
        judge(&History::new(operations), &found).iter().map(|lost| lost.at_least).sum()
    }

    #[test]
    fn what_is_there_is_not_lost() {
        assert_eq!(check(vec![put("a", "k", 0, 1, "x")], Some("x")), 0);
        assert_eq!(check(vec![put("a", "k", 0, 1, "x"), delete("a", "k", 2, 3)], None), 0);
        assert_eq!(check(vec![add("a", "k", 0, 1, 50, 50), add("a", "k", 2, 3, 50, 100)], Some("100")), 0);
    }

    #[test]
    fn what_is_not_there_is_lost() {
        assert_eq!(check(vec![put("a", "k", 0, 1, "x")], None), 1);
        assert_eq!(
            check(
                vec![put("a", "k", 0, 1, "x"), put("a", "k", 2, 3, "y"), put("a", "k", 4, 5, "z")],
                Some("x")
            ),
            2
        );
        assert_eq!(check(vec![put("a", "k", 0, 1, "x"), delete("a", "k", 2, 3)], Some("x")), 1);
    }

    #[test]
    fn what_was_overwritten_meanwhile_is_not_missed() {
        let unknown_last = vec![put("a", "k", 0, 1, "x"), unknown(put("b", "k", 0, 1, "y"))];
        assert_eq!(check(unknown_last, Some("y")), 0);
        assert_eq!(check(vec![put("a", "k", 0, 9, "x"), put("b", "k", 1, 8, "y")], Some("x")), 0);
    }

    #[test]
    fn a_record_that_was_not_read_is_named() {
        let history = History::new(vec![put("a", "k", 0, 1, "x"), put("a", "other", 0, 1, "x")]);
        let found = Final::from([("k".into(), Some("x".into()))]);
        assert!(judge(&history, &found).is_empty());
        assert_eq!(unread(&history, &found), ["other"]);
    }

    #[test]
    fn deposits_that_are_missing_are_counted_by_their_sum() {
        // A second primary answered with the same sum again, so it cannot be seen which of the two is lost.
        let operations =
            vec![add("a", "k", 0, 1, 50, 50), add("b", "k", 2, 3, 50, 100), add("c", "k", 4, 5, 50, 100)];
        let found = Final::from([("k".into(), Some("100".into()))]);
        let lost = judge(&History::new(operations.clone()), &found);
        assert_eq!((lost[0].missing, lost[0].at_least), (Some(50), 1));
        let mut maybe = operations;
        maybe[2] = unknown(maybe[2].clone());
        assert_eq!(check(maybe, Some("100")), 0);
    }

    #[test]
    fn a_deposit_whose_first_answer_was_lost_is_no_later_one() {
        let mut operations = vec![
            unknown(add("a", "k", 0, 1, 50, 0)),
            add("b", "k", 2, 3, 50, 100),
            // It took effect at the first try, and the repeated call gets the same answer.
            add("a", "k", 4, 5, 50, 50),
        ];
        for again in [0, 2] {
            operations[again].request = Some("deposit-1".into());
        }
        assert_eq!(check(operations.clone(), Some("100")), 0);
        assert_eq!(check(operations, Some("50")), 1, "the other one is lost all the same");
    }

    #[test]
    fn a_deposit_asked_twice_under_one_name_counts_once() {
        let mut twice = vec![add("a", "k", 0, 1, 50, 50), add("a", "k", 2, 3, 50, 50)];
        twice.iter_mut().for_each(|add| add.request = Some("deposit-1".into()));
        assert_eq!(check(twice, Some("50")), 0);
    }
}
