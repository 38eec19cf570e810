//! Writes that were truncated from the log. They are counted, and kept aside on disk for inspection
//! by people.

#![deny(clippy::disallowed_methods)]

use super::entry::Entry;

/// The truncated writes.
#[derive(Debug)]
pub(super) struct Discarded {
    /// Those that have yet to be kept aside on disk.
    writes: Vec<Entry>,
    /// The total number, over all starts of this data directory.
    count: u64,
}

impl Discarded {
    /// The number of truncated writes that was found on disk.
    pub(super) fn recovered(count: u64) -> Self {
        Self { writes: Vec::new(), count }
    }

    /// The total number of truncated writes.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Adds entries that were truncated.
    pub(super) fn add(&mut self, dropped: Vec<Entry>) {
        self.writes.extend(dropped.into_iter().filter(|entry| entry.write().is_some()));
    }

    /// Takes the writes that the next batch keeps aside, and counts them. If the batch truncates
    /// nothing on disk, there are none: they never reached the disk.
    pub(super) fn take(&mut self, batch_truncates: bool) -> Vec<Entry> {
        let mut writes = std::mem::take(&mut self.writes);
        if !batch_truncates {
            writes.clear();
        }
        self.kept_aside(&writes);
        writes
    }

    /// Counts writes that are kept aside.
    pub(super) fn kept_aside(&mut self, writes: &[Entry]) {
        self.count += writes.len() as u64;
    }
}
