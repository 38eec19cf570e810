//! Stale reads: reads of a value that had been overwritten, and for how long. A node's own copy may be stale,
//! a read of the latest value must not be.

use crate::history::History;
use crate::operation::Operation;
use crate::order::Record;

/// The stale reads of a history.
#[derive(Debug, Clone, Default)]
pub struct StaleReads {
    /// The number of reads that were answered.
    pub reads: usize,
    /// The stale ones among them.
    pub stale: Vec<StaleRead>,
}

/// A read of a value that had been overwritten.
#[derive(Debug, Clone, PartialEq)]
pub struct StaleRead {
    /// The read.
    pub read: Operation,
    /// The first write that had overwritten it, acknowledged before the read was invoked.
    pub overwritten_by: Operation,
    /// The time from that acknowledgement to the read, in milliseconds.
    pub age_ms: f64,
}

impl StaleReads {
    /// The highest age, in milliseconds; 0 if there is none.
    pub fn age_ms_max(&self) -> f64 {
        self.stale.iter().map(|stale| stale.age_ms).fold(0.0, f64::max)
    }

    /// The age that this share of the stale reads do not exceed, in milliseconds; 0 if there are none.
    pub fn age_ms_quantile(&self, share: f64) -> f64 {
        let mut ages: Vec<f64> = self.stale.iter().map(|stale| stale.age_ms).collect();
        ages.sort_by(f64::total_cmp);
        let place = (share * ages.len() as f64).ceil() as usize;
        ages.get(place.saturating_sub(1).min(ages.len().saturating_sub(1))).copied().unwrap_or(0.0)
    }
}

/// Finds the stale reads of a history, by the time they were invoked.
pub fn judge(history: &History) -> StaleReads {
    let mut found = StaleReads::default();
    for record in Record::all(history).values() {
        found.reads += record.reads().count();
        found.stale.extend(record.reads().filter_map(|read| stale(record, read)));
    }
    found.stale.sort_by_key(|stale| stale.read.invoked_at);
    found
}

fn stale<'a>(record: &Record<'a>, read: &'a Operation) -> Option<StaleRead> {
    let source = record.source(read)?;
    let newer = |write: &&'a Operation| {
        write.surely_done_at() < read.invoked_at
            && record.source(write).is_some_and(|written| source.is_older_than(&written))
    };
    let first = record.acknowledged().filter(newer).min_by_key(|write| write.surely_done_at())?;
    let age_ms = read.invoked_at.ms_since(first.surely_done_at());
    Some(StaleRead { read: read.clone(), overwritten_by: first.clone(), age_ms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{absent, add, put, seen, unknown, versioned};

    const MS: u64 = 1_000_000;

    fn ages(operations: Vec<Operation>) -> Vec<f64> {
        judge(&History::new(operations)).stale.into_iter().map(|stale| stale.age_ms).collect()
    }

    #[test]
    fn a_read_of_the_newest_is_not_stale() {
        assert!(ages(vec![put("a", "k", 0, 1, "x"), seen("a", "k", 2, 3, "x")]).is_empty());
    }

    #[test]
    fn age_counts_from_the_first_write_that_had_overwritten_it() {
        let writes = [
            put("a", "k", 0, MS, "x"),
            put("a", "k", 2 * MS, 3 * MS, "y"),
            put("a", "k", 4 * MS, 5 * MS, "z"),
        ];
        let mut operations = writes.to_vec();
        operations.push(seen("b", "k", 503 * MS, 504 * MS, "x"));
        operations.push(absent("b", "k", 11 * MS, 12 * MS));
        assert_eq!(ages(operations.clone()), [10.0, 500.0]);
        assert_eq!(judge(&History::new(operations)).reads, 2);
    }

    #[test]
    fn a_write_that_overlaps_excuses() {
        let during_the_read =
            vec![put("a", "k", 0, 1, "x"), put("a", "k", 2, 9, "y"), seen("b", "k", 5, 6, "x")];
        assert!(ages(during_the_read).is_empty());
        let at_the_same_moment =
            vec![put("a", "k", 0, 1, "x"), put("a", "k", 2, 5, "y"), seen("b", "k", 5, 6, "x")];
        assert!(ages(at_the_same_moment).is_empty());
        let each_other =
            vec![put("a", "k", 0, 9, "x"), put("b", "k", 1, 8, "y"), seen("b", "k", 10, 11, "x")];
        assert!(ages(each_other).is_empty());
    }

    #[test]
    fn versions_tell_the_order_of_writes_that_overlap() {
        let operations = vec![
            versioned(put("a", "k", 0, 9, "x"), 1),
            versioned(put("b", "k", 1, 8, "y"), 2),
            versioned(seen("b", "k", 10, 11, "x"), 1),
        ];
        assert_eq!(ages(operations).len(), 1);
    }

    #[test]
    fn a_deposit_that_is_missing_is_stale_and_an_unknown_one_is_not() {
        let mut history =
            History::new(vec![add("a", "k", 0, MS, 50, 150), seen("b", "k", 2 * MS, 3 * MS, "100")]);
        history.initial.insert("k".into(), "100".into());
        assert_eq!(judge(&history).age_ms_max(), 1.0);
        history.operations[0] = unknown(history.operations[0].clone());
        assert!(judge(&history).stale.is_empty());
    }

    #[test]
    fn quantiles_of_ages() {
        let stale = |age_ms| StaleRead {
            read: seen("a", "k", 0, 1, "x"),
            overwritten_by: put("a", "k", 0, 1, "x"),
            age_ms,
        };
        let reads = StaleReads { reads: 9, stale: vec![stale(3.0), stale(1.0), stale(2.0)] };
        assert_eq!(
            (reads.age_ms_quantile(0.5), reads.age_ms_quantile(1.0), reads.age_ms_max()),
            (2.0, 3.0, 3.0)
        );
        assert_eq!(StaleReads::default().age_ms_quantile(0.99), 0.0);
    }
}
