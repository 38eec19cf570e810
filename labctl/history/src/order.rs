//! The order of the writes to a record: which write a value comes from, and which write is definitely newer.
//! Derived from versions where the database returns them, and from the times at which writes were invoked and
//! acknowledged.

use std::collections::BTreeMap;

use crate::history::History;
use crate::operation::{Action, At, Operation, Outcome};

/// The operations on one record.
#[derive(Debug)]
pub struct Record<'a> {
    /// By the time they were invoked.
    pub operations: Vec<&'a Operation>,
    initial: Option<&'a str>,
    /// For each value, the writes that may have left it.
    writers: BTreeMap<Option<String>, Vec<&'a Operation>>,
    /// An addition of unknown outcome may have produced values that no answer contains.
    values_are_uncertain: bool,
    /// The first invocation of each named write: it may have taken effect from then on, whichever try was
    /// answered.
    first_asked: BTreeMap<&'a str, At>,
}

/// The source of a value.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    /// The writes that may have left it, each with the earliest time of its effect. Empty if it is the
    /// initial value.
    writers: Vec<(&'a Operation, At)>,
    /// Its version, if known.
    version: Option<u64>,
    /// The time at which it was seen.
    seen_at: At,
}

impl<'a> Record<'a> {
    /// Every record of a history.
    pub fn all(history: &'a History) -> BTreeMap<&'a str, Self> {
        let keys = history.by_key().into_iter();
        keys.map(|(key, operations)| (key, Self::new(history.initial_value(key), operations))).collect()
    }

    fn new(initial: Option<&'a str>, operations: Vec<&'a Operation>) -> Self {
        let mut writers: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let (mut lost_sums, mut only_grows) = (false, true);
        let mut first_asked = BTreeMap::new();
        for operation in operations.iter().copied().filter(|operation| operation.may_have_written()) {
            match operation.value_after() {
                Some(value) => writers.entry(value).or_default().push(operation),
                None => lost_sums = true,
            }
            only_grows &= matches!(operation.action, Action::Add { by } if by > 0);
            if let Some(name) = operation.request.as_deref() {
                // They are in the order of their invocation.
                first_asked.entry(name).or_insert(operation.invoked_at);
            }
        }
        Self { operations, initial, writers, values_are_uncertain: lost_sums && !only_grows, first_asked }
    }

    /// A write, with the earliest time at which it may have taken effect.
    fn writer(&self, operation: &'a Operation) -> (&'a Operation, At) {
        let first = operation.request.as_deref().and_then(|name| self.first_asked.get(name));
        (operation, first.copied().unwrap_or(operation.invoked_at))
    }

    /// The source of the value that a read returned or a write left. `None` if it is not certain.
    pub fn source(&self, operation: &'a Operation) -> Option<Source<'a>> {
        operation.answer()?;
        let seen_at = operation.surely_done_at();
        if operation.is_write() {
            let writers = vec![self.writer(operation)];
            return Some(Source { writers, version: operation.version(), seen_at });
        }
        self.source_of(&operation.value_after()?, operation.version(), seen_at)
    }

    /// The source of a value that was seen at some time.
    pub fn source_of(&self, value: &Option<String>, version: Option<u64>, seen_at: At) -> Option<Source<'a>> {
        let earlier = |writer: &&&Operation| writer.invoked_at <= seen_at;
        let same_version = |writer: &&&Operation| {
            version.is_none() || writer.version().is_none() || writer.version() == version
        };
        let all = self.writers.get(value).into_iter().flatten();
        let all = all.filter(earlier).filter(same_version);
        let writers: Vec<_> = all.map(|operation| self.writer(operation)).collect();
        let was_there = value.as_deref() == self.initial;
        match (writers.is_empty(), was_there) {
            // It may be the initial value or a written one.
            (false, true) if version.is_none() => None,
            _ if self.values_are_uncertain && version.is_none() => None,
            (true, false) => None,
            _ => Some(Source { writers, version, seen_at }),
        }
    }

    /// The acknowledged writes.
    pub fn acknowledged(&self) -> impl Iterator<Item = &'a Operation> {
        self.operations.iter().copied().filter(|operation| operation.is_acknowledged_write())
    }

    /// The reads that were answered.
    pub fn reads(&self) -> impl Iterator<Item = &'a Operation> {
        let answered = |operation: &&Operation| !operation.is_write() && operation.answer().is_some();
        self.operations.iter().copied().filter(answered)
    }

    /// The value before the first operation.
    pub fn initial(&self) -> Option<&'a str> {
        self.initial
    }
}

impl Source<'_> {
    /// True if the value is definitely older than the other one.
    pub fn is_older_than(&self, other: &Source<'_>) -> bool {
        if other.writers.is_empty() {
            return false;
        }
        let older_version = matches!((self.version, other.version), (Some(a), Some(b)) if a < b);
        let pairs = || self.writers.iter().flat_map(|own| other.writers.iter().map(move |its| (*own, *its)));
        if pairs().any(|((own, _), (its, _))| std::ptr::eq(own, its)) {
            return false;
        }
        // Versions may be reused after a failover: a write invoked later is not older.
        let may_be_older =
            pairs().all(|((_, asked_at), (its, _))| asked_at <= its.surely_done_at().min(other.seen_at));
        let surely_done_before = pairs().all(|((own, _), (_, asked_at))| own.surely_done_at() < asked_at);
        surely_done_before || (older_version && may_be_older)
    }

    /// True if only writes of unknown outcome may have left it.
    pub fn is_unconfirmed(&self) -> bool {
        let unknown = |(writer, _): &(&Operation, At)| matches!(writer.outcome, Outcome::Unknown(_));
        !self.writers.is_empty() && self.writers.iter().all(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{put, seen, unknown, versioned};

    /// True if the first of these wrote a value that is definitely older than the second one's.
    fn is_older(operations: [Operation; 2]) -> bool {
        let history = History::new(operations.to_vec());
        let record = &Record::all(&history)["k"];
        let source = |number: usize| record.source(&history.operations[number]).unwrap();
        source(0).is_older_than(&source(1))
    }

    #[test]
    fn what_ends_when_another_begins_overlaps_it() {
        assert!(is_older([put("a", "k", 0, 4, "x"), put("a", "k", 5, 9, "y")]));
        assert!(!is_older([put("a", "k", 0, 5, "x"), put("a", "k", 5, 9, "y")]));
    }

    #[test]
    fn versions_decide_between_writes_that_overlap_and_only_between_them() {
        let write = |from, to, value, version| versioned(put("a", "k", from, to, value), version);
        assert!(is_older([write(9, 20, "x", 1), write(1, 9, "y", 2)]));
        assert!(!is_older([write(10, 20, "x", 1), write(1, 9, "y", 2)]), "the version was given again");
        assert!(!is_older([write(1, 9, "x", 2), write(1, 9, "y", 2)]), "the same version");
    }

    #[test]
    fn what_only_an_unknown_write_may_have_left_is_unconfirmed() {
        let by = |write: Operation| {
            let history = History::new(vec![write, seen("b", "k", 2, 3, "x")]);
            let record = &Record::all(&history)["k"];
            record.source(&history.operations[1]).map(|source| source.is_unconfirmed())
        };
        assert_eq!(by(unknown(put("a", "k", 0, 1, "x"))), Some(true));
        assert_eq!(by(put("a", "k", 0, 1, "x")), Some(false));
        let mut history = History::new(vec![seen("b", "k", 2, 3, "x")]);
        history.initial.insert("k".into(), "x".into());
        let record = &Record::all(&history)["k"];
        assert!(!record.source(&history.operations[0]).unwrap().is_unconfirmed(), "it was there at first");
    }
}
