//! Writes that were truncated from the log. They are counted, and kept aside on disk for operators to
//! inspect.

#![deny(clippy::disallowed_methods)]

use super::entry::Entry;

/// The truncated writes.
#[derive(Debug)]
pub(super) struct Discarded {
    /// The writes that have yet to be kept aside on disk.
    writes: Vec<Entry>,
    /// The writes that the batch in progress keeps aside.
    under_way: Vec<Entry>,
    /// The total number, over all starts of this data directory.
    count: u64,
}

impl Discarded {
    /// Restores the number of truncated writes that was found on disk.
    pub(super) fn recovered(count: u64) -> Self {
        Self { writes: Vec::new(), under_way: Vec::new(), count }
    }

    /// The total number of truncated writes.
    pub(super) fn count(&self) -> u64 {
        self.count + self.under_way.len() as u64
    }

    /// Adds entries that were truncated.
    pub(super) fn add(&mut self, dropped: Vec<Entry>) {
        self.writes.extend(dropped.into_iter().filter(|entry| entry.write().is_some()));
    }

    /// Returns the writes that the next batch keeps aside. A batch that truncates nothing on disk keeps
    /// none aside: they never reached the disk.
    pub(super) fn begin_batch(&mut self, batch_truncates: bool) -> Vec<Entry> {
        let mut writes = std::mem::take(&mut self.writes);
        if !batch_truncates {
            writes.clear();
        }
        self.under_way.clone_from(&writes);
        writes
    }

    /// Records that the batch is on disk, and counts its writes.
    pub(super) fn batch_persisted(&mut self) {
        let writes = std::mem::take(&mut self.under_way);
        self.kept_aside(&writes);
    }

    /// Records that the batch found the disk full. The next batch truncates again, and keeps its writes aside.
    pub(super) fn batch_not_persisted(&mut self) {
        let later = std::mem::replace(&mut self.writes, std::mem::take(&mut self.under_way));
        self.writes.extend(later);
    }

    /// Counts writes that are kept aside.
    pub(super) fn kept_aside(&mut self, writes: &[Entry]) {
        self.count += writes.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::entry::{Change, Payload, Write};
    use crate::replication::key::Key;

    fn put(index: u64) -> Entry {
        let change = Change::Delete;
        let write = Write { key: Key::new("k").expect("it is a key"), change, request: None };
        Entry { index, term: 1, payload: Payload::Write(write) }
    }

    #[test]
    fn writes_of_a_batch_that_found_the_disk_full_are_kept_aside_by_the_next_one() {
        let mut discarded = Discarded::recovered(3);
        discarded.add(vec![put(7), put(8)]);
        assert_eq!(discarded.begin_batch(true).len(), 2);
        assert_eq!(discarded.count(), 5);
        discarded.batch_not_persisted();
        assert_eq!(discarded.count(), 3);
        discarded.add(vec![put(9)]);
        let again: Vec<_> = discarded.begin_batch(true).iter().map(|entry| entry.index).collect();
        assert_eq!(again, [7, 8, 9]);
        discarded.batch_persisted();
        assert_eq!((discarded.count(), discarded.begin_batch(true).len()), (6, 0));
    }
}
