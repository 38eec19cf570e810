//! New-old inversions: a read of an older value after a read of a newer one, by any clients. They happen when
//! reads go to several replicas with different lag. Neither read has to be stale for that.

use crate::history::History;
use crate::operation::Operation;
use crate::order::{Record, Source};

/// A read of an older value after a read of a newer one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inversion {
    /// The read of the newer value, which returned before…
    pub newer: Operation,
    /// …this one was invoked, which saw the older value.
    pub older: Operation,
}

/// Finds, for each read of an older value, the last read before it that saw a newer one.
pub fn judge(history: &History) -> Vec<Inversion> {
    Record::all(history).values().flat_map(|record| in_record(record, |_, _| true)).collect()
}

/// The inversions among the reads of one record, between reads that `together` relates.
pub(crate) fn in_record(
    record: &Record<'_>,
    together: impl Fn(&Operation, &Operation) -> bool,
) -> Vec<Inversion> {
    let with_source = |read| Some((read, record.source(read)?));
    let reads: Vec<(&Operation, Source<'_>)> = record.reads().filter_map(with_source).collect();
    let newer_before = |(older, source): &(&Operation, Source<'_>)| {
        let candidates = reads
            .iter()
            .filter(|(newer, _)| newer.surely_done_at() < older.invoked_at && together(newer, older));
        let newer = candidates.filter(|(_, newer)| source.is_older_than(newer));
        let last = newer.max_by_key(|(newer, _)| newer.surely_done_at())?;
        Some(Inversion { newer: last.0.clone(), older: (*older).clone() })
    };
    reads.iter().filter_map(newer_before).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{put, seen, unknown};

    #[test]
    fn old_after_new_is_found_even_while_the_write_is_under_way() {
        let operations = vec![
            put("a", "k", 0, 1, "x"),
            put("a", "k", 2, 99, "y"),
            seen("b", "k", 3, 4, "y"),
            seen("c", "k", 5, 6, "x"),
            seen("d", "k", 7, 8, "y"),
        ];
        let found = judge(&History::new(operations.clone()));
        assert_eq!(found, [Inversion { newer: operations[2].clone(), older: operations[3].clone() }]);
        assert!(crate::stale::judge(&History::new(operations)).stale.is_empty());
    }

    #[test]
    fn reads_that_overlap_and_writes_that_overlap_excuse() {
        let reads = vec![
            put("a", "k", 0, 1, "x"),
            put("a", "k", 2, 3, "y"),
            seen("b", "k", 4, 9, "y"),
            seen("c", "k", 5, 6, "x"),
        ];
        assert!(judge(&History::new(reads)).is_empty());
        let same_moment = vec![
            put("a", "k", 0, 1, "x"),
            put("a", "k", 2, 3, "y"),
            seen("b", "k", 4, 5, "y"),
            seen("c", "k", 5, 6, "x"),
        ];
        assert!(judge(&History::new(same_moment)).is_empty());
        let writes = vec![
            unknown(put("a", "k", 0, 1, "x")),
            put("a", "k", 2, 3, "y"),
            seen("b", "k", 4, 5, "y"),
            seen("c", "k", 6, 7, "x"),
        ];
        assert!(judge(&History::new(writes)).is_empty());
    }
}
