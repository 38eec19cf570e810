//! Session guarantees, which must hold even on replicas that lag: read your writes, and monotonic reads.

use crate::history::History;
use crate::inversions::{Inversion, in_record};
use crate::operation::Operation;
use crate::order::Record;

/// The violations of session guarantees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFaults {
    /// Violations of read-your-writes.
    pub own_writes: Vec<OwnWriteMissed>,
    /// Violations of monotonic reads: reads of an older value than an earlier read of the same session.
    pub reads_back: Vec<Inversion>,
}

/// A read that did not see the session's own write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnWriteMissed {
    /// The write, acknowledged before the read was invoked.
    pub write: Operation,
    /// The read, which returned an older value.
    pub read: Operation,
}

/// Finds the violations of session guarantees.
pub fn judge(history: &History) -> SessionFaults {
    let mut faults = SessionFaults::default();
    for record in Record::all(history).values() {
        faults.own_writes.extend(record.reads().filter_map(|read| own_write_missed(record, read)));
        let same_session = |one: &Operation, other: &Operation| one.session == other.session;
        faults.reads_back.extend(in_record(record, same_session));
    }
    faults
}

fn own_write_missed<'a>(record: &Record<'a>, read: &'a Operation) -> Option<OwnWriteMissed> {
    let source = record.source(read)?;
    let own_before =
        |write: &&'a Operation| write.session == read.session && write.surely_done_at() < read.invoked_at;
    let missed =
        |write: &&'a Operation| record.source(write).is_some_and(|written| source.is_older_than(&written));
    let write = record.acknowledged().filter(own_before).find(missed)?;
    Some(OwnWriteMissed { write: write.clone(), read: read.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{absent, put, seen};

    #[test]
    fn a_session_sees_its_own_writes() {
        let write = put("alice", "k", 0, 1, "x");
        let missed = judge(&History::new(vec![write.clone(), absent("alice", "k", 2, 3)]));
        assert_eq!(missed.own_writes.len(), 1);
        let same_moment = absent("alice", "k", 1, 3);
        let others =
            [absent("bob", "k", 2, 3), seen("alice", "k", 2, 3, "x"), absent("alice", "other", 2, 3)];
        for fine in others.into_iter().chain([same_moment]) {
            assert_eq!(judge(&History::new(vec![write.clone(), fine])), SessionFaults::default());
        }
    }

    #[test]
    fn somebody_elses_newer_write_is_no_fault() {
        let operations =
            vec![put("alice", "k", 0, 1, "x"), put("bob", "k", 2, 3, "y"), seen("alice", "k", 4, 5, "y")];
        assert_eq!(judge(&History::new(operations)), SessionFaults::default());
    }

    #[test]
    fn a_session_never_goes_back() {
        let writes = [put("w", "k", 0, 1, "x"), put("w", "k", 2, 3, "y")];
        let reads_by = |first: &str, second: &str| {
            let reads = [seen(first, "k", 4, 5, "y"), seen(second, "k", 6, 7, "x")];
            judge(&History::new([writes.to_vec(), reads.to_vec()].concat())).reads_back.len()
        };
        assert_eq!(reads_by("alice", "alice"), 1);
        assert_eq!(reads_by("alice", "bob"), 0);
    }
}
