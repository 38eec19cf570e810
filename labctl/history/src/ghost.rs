//! Ghost writes: writes that were definitely refused but took effect, and additions that counted twice.

use std::collections::BTreeSet;

use crate::history::History;
use crate::operation::{Action, Operation, Outcome};
use crate::order::Record;

/// A value that should not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ghost {
    /// The operation that saw it.
    pub seen: Operation,
    /// The refused writes that it may come from. If empty, an addition counted twice.
    pub refused: Vec<Operation>,
}

/// Finds the ghosts of a history.
pub fn judge(history: &History) -> Vec<Ghost> {
    Record::all(history).values().flat_map(ghosts).collect()
}

fn ghosts(record: &Record<'_>) -> Vec<Ghost> {
    let answered = record.operations.iter().copied().filter(|operation| operation.answer().is_some());
    let only_added_to = writes(record).all(|write| matches!(write.action, Action::Add { .. }));
    let suspicious = answered.filter_map(|seen| match only_added_to {
        true => too_much(record, seen),
        false => refused_value(record, seen),
    });
    suspicious.collect()
}

fn writes<'a>(record: &Record<'a>) -> impl Iterator<Item = &'a Operation> {
    record.operations.iter().copied().filter(|operation| operation.is_write())
}

fn refused<'a>(record: &Record<'a>) -> impl Iterator<Item = &'a Operation> {
    writes(record).filter(|write| matches!(write.outcome, Outcome::Failed(_)))
}

/// A read of a value that only refused writes would have left.
fn refused_value(record: &Record<'_>, seen: &Operation) -> Option<Ghost> {
    if seen.is_write() {
        return None;
    }
    let value = seen.value_after()?;
    let leaves_it = |write: &&Operation| write.value_after().as_ref() == Some(&value);
    let from: Vec<_> = refused(record).filter(leaves_it).cloned().collect();
    let is_explained = value.as_deref() == record.initial()
        || writes(record).filter(|write| write.may_have_written()).any(|write| leaves_it(&write));
    (!from.is_empty() && !is_explained).then(|| Ghost { seen: seen.clone(), refused: from })
}

/// A sum above everything that may have been added by then.
fn too_much(record: &Record<'_>, seen: &Operation) -> Option<Ghost> {
    let before = |write: &&Operation| write.invoked_at <= seen.surely_done_at();
    let mut names = BTreeSet::new();
    let mut most: i64 = record.initial().map_or(Some(0), |value| value.parse().ok())?;
    for write in writes(record).filter(before).filter(|write| write.may_have_written()) {
        if let Action::Add { by } = write.action
            && write.request.as_deref().is_none_or(|name| names.insert(name))
        {
            most = most.checked_add(by.max(0))?;
        }
    }
    let value: i64 = seen.value_after()??.parse().ok()?;
    let from = || refused(record).filter(before).cloned().collect();
    (value > most).then(|| Ghost { seen: seen.clone(), refused: from() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{add, failed, put, seen, unknown};

    fn check(operations: Vec<Operation>) -> Vec<Ghost> {
        judge(&History::new(operations))
    }

    #[test]
    fn a_refused_write_that_is_read_is_a_ghost() {
        let ghosts = check(vec![failed(put("a", "k", 0, 1, "x")), seen("b", "k", 2, 3, "x")]);
        assert_eq!((ghosts.len(), ghosts[0].refused.len()), (1, 1));
    }

    #[test]
    fn what_may_have_been_written_by_somebody_is_none() {
        for other in [put("c", "k", 0, 1, "x"), unknown(put("c", "k", 0, 1, "x"))] {
            assert!(
                check(vec![failed(put("a", "k", 0, 1, "x")), other, seen("b", "k", 2, 3, "x")]).is_empty()
            );
        }
    }

    #[test]
    fn a_refused_deposit_that_counts_is_a_ghost_and_so_is_one_that_counts_twice() {
        let fine = vec![
            add("a", "k", 0, 1, 50, 50),
            unknown(add("a", "k", 2, 3, 50, 0)),
            seen("b", "k", 4, 5, "100"),
        ];
        assert!(check(fine).is_empty());
        let refused = vec![
            add("a", "k", 0, 1, 50, 50),
            failed(add("a", "k", 2, 3, 50, 0)),
            seen("b", "k", 4, 5, "100"),
        ];
        assert_eq!(check(refused)[0].refused.len(), 1);
        let mut twice = vec![unknown(add("a", "k", 0, 1, 50, 0)), add("a", "k", 2, 3, 50, 100)];
        twice.iter_mut().for_each(|add| add.request = Some("deposit-1".into()));
        assert_eq!(check(twice).len(), 1);
    }
}
