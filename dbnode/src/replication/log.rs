//! The in-memory tail of the log: the entries that are not in the snapshot yet.
//!
//! ```text
//!   snapshot │ compacted.. ........ ..persisted │ ..persisting │ ..last
//!            └── on disk ────────────────────┘   being written  └── waits for the next batch
//! ```

#![deny(clippy::disallowed_methods)]

use std::collections::VecDeque;

use super::entry::{Entry, LogId, Payload};

/// The in-memory tail of the log.
#[derive(Debug)]
pub struct Log {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The last entry in the snapshot.
    compacted: LogId,
    /// The last entry on disk, not counting entries that have been truncated since.
    persisted: u64,
    /// The last entry being written to disk, not counting entries that have been truncated since.
    persisting: Option<u64>,
    /// The disk has, or will have, obsolete entries after this one.
    cut: Option<u64>,
    /// The truncation being written to disk.
    cutting: Option<u64>,
    /// The commit index: everything up to it is committed, as far as this node knows.
    committed: u64,
    /// The indexes of the entries that state which data directory acts under a name.
    members: VecDeque<u64>,
}

/// The next change to the log on disk.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Truncate it after this entry…
    pub cut_after: Option<u64>,
    /// …and append these.
    pub entries: Vec<Entry>,
}

impl Log {
    /// The log as it was found on disk, following a snapshot, and the commit index found there.
    /// The snapshot is committed in any case.
    pub fn recovered(compacted: LogId, entries: Vec<Entry>, committed: u64) -> Self {
        let persisted = compacted.index + entries.len() as u64;
        let bytes = entries.iter().map(Entry::size).sum();
        let members = entries.iter().filter(|entry| entry.names_member()).map(|entry| entry.index).collect();
        Self {
            entries: entries.into(),
            bytes,
            compacted,
            persisted,
            persisting: None,
            cut: None,
            cutting: None,
            committed: committed.clamp(compacted.index, persisted),
            members,
        }
    }

    /// The last entry's index.
    pub fn last(&self) -> u64 {
        self.compacted.index + self.entries.len() as u64
    }

    /// The last entry.
    pub fn last_place(&self) -> LogId {
        self.entries.back().map_or(self.compacted, Entry::log_id)
    }

    /// The last entry on disk.
    pub fn persisted(&self) -> u64 {
        self.persisted
    }

    /// The last entry in the snapshot.
    pub fn compacted(&self) -> LogId {
        self.compacted
    }

    /// The commit index, as far as this node knows.
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// The commit index, with the term of the entry there.
    pub fn committed_place(&self) -> LogId {
        let term = self.term_at(self.committed).unwrap_or_default();
        LogId { term, index: self.committed }
    }

    /// Advances the commit index; it never goes back.
    pub fn commit_to(&mut self, index: u64) {
        self.committed = self.committed.max(index);
    }

    /// The number of entries, and their memory footprint in bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// The entry at an index, if it is in memory.
    pub fn get(&self, index: u64) -> Option<&Entry> {
        let place = index.checked_sub(self.compacted.index + 1)?;
        self.entries.get(usize::try_from(place).ok()?)
    }

    /// The term of the entry at an index, if it is known.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.compacted.index {
            Some(self.compacted.term)
        } else {
            self.get(index).map(|it| it.term)
        }
    }

    /// True if this log has the same entry at this position. What is in the snapshot is committed,
    /// and so the same everywhere.
    pub fn has(&self, place: LogId) -> bool {
        place.index < self.compacted.index || self.term_at(place.index) == Some(place.term)
    }

    /// The highest index up to which this log may agree with one that has an entry of another term
    /// at `index`: the one before this log's first entry of its own term there.
    pub fn agreement_before(&self, index: u64) -> u64 {
        let Some(term) = self.term_at(index) else { return self.last() };
        let mut before = index.saturating_sub(1);
        while before > self.compacted.index && self.term_at(before) == Some(term) {
            before -= 1;
        }
        before
    }

    /// The entries after an index, as many as fit the limits, and at least one if there is one.
    pub fn after(&self, index: u64, entries_max: usize, bytes_max: usize) -> Vec<Entry> {
        let mut bytes = 0;
        let mut some = Vec::new();
        while let Some(entry) = self.get(index + 1 + some.len() as u64) {
            bytes += entry.size();
            if some.len() == entries_max || (bytes > bytes_max && !some.is_empty()) {
                break;
            }
            some.push(entry.clone());
        }
        some
    }

    /// Appends an entry with this content, and returns it.
    pub fn append(&mut self, term: u64, payload: Payload) -> &Entry {
        self.push(Entry { index: self.last() + 1, term, payload })
    }

    /// Appends the next entry, and returns it.
    pub fn push(&mut self, entry: Entry) -> &Entry {
        assert_eq!(entry.index, self.last() + 1, "the log has no gaps");
        self.bytes += entry.size();
        if entry.names_member() {
            self.members.push_back(entry.index);
        }
        self.entries.push_back(entry);
        self.entries.back().expect("it was just added")
    }

    /// Truncates the log after an index, and returns the removed entries.
    pub fn cut_after(&mut self, index: u64) -> Vec<Entry> {
        assert!(index >= self.compacted.index, "what is in the snapshot is committed");
        if self.persisted > index || self.persisting.is_some_and(|up_to| up_to > index) {
            self.cut = Some(self.cut.map_or(index, |earlier| earlier.min(index)));
            self.persisted = self.persisted.min(index);
            self.persisting = self.persisting.map(|up_to| up_to.min(index));
        }
        let keep = usize::try_from(index - self.compacted.index).expect("a log in memory is countable");
        let dropped: Vec<_> = self.entries.drain(keep.min(self.entries.len())..).collect();
        self.bytes -= dropped.iter().map(Entry::size).sum::<usize>();
        while self.members.pop_back_if(|member| *member > index).is_some() {}
        dropped
    }

    /// True if a batch is being written to disk.
    pub fn is_persisting(&self) -> bool {
        self.persisting.is_some()
    }

    /// Begins the next change to the log on disk, within the limits. It is in progress until
    /// [`persisted_batch`](Self::persisted_batch) or [`not_persisted`](Self::not_persisted).
    pub fn begin_batch(&mut self, entries_max: usize, bytes_max: usize) -> Due {
        assert!(!self.is_persisting(), "one batch at a time");
        let entries = self.after(self.persisted, entries_max, bytes_max);
        self.persisting = Some(self.persisted + entries.len() as u64);
        self.cutting = self.cut.take();
        Due { cut_after: self.cutting, entries }
    }

    /// True if the log on disk needs a change.
    pub fn has_batch(&self) -> bool {
        self.cut.is_some() || self.persisted < self.last()
    }

    /// Records that the batch is on disk.
    pub fn persisted_batch(&mut self) {
        self.persisted = self.persisting.take().expect("only a batch that was begun can be on disk");
        self.cutting = None;
    }

    /// Records that no part of the batch is on disk.
    pub fn not_persisted(&mut self) {
        self.persisting = None;
        self.cut = self.cut.into_iter().chain(self.cutting.take()).min();
    }

    /// The oldest entries: all but the newest `keep`, and none newer than `up_to`.
    pub fn oldest(&self, keep: usize, up_to: u64) -> Vec<Entry> {
        let allowed = usize::try_from(up_to.saturating_sub(self.compacted.index)).unwrap_or(usize::MAX);
        let count = self.entries.len().saturating_sub(keep).min(allowed);
        self.entries.iter().take(count).cloned().collect()
    }

    /// Drops the entries that are in the snapshot now.
    pub fn compacted_up_to(&mut self, index: u64) {
        while self.compacted.index < index {
            let compacted = self.entries.pop_front().expect("what was compacted was in memory");
            self.bytes -= compacted.size();
            self.compacted = compacted.log_id();
        }
        while self.members.pop_front_if(|member| *member <= index).is_some() {}
    }

    /// The entries after an index that state which data directory acts under a name, newest first.
    pub fn members_after(&self, index: u64) -> impl Iterator<Item = &Entry> {
        let members = self.members.iter().rev().take_while(move |member| **member > index);
        members.filter_map(|member| self.get(*member))
    }

    /// Starts over after a snapshot received from the primary.
    pub fn replaced_by_snapshot(&mut self, place: LogId) {
        *self = Self { committed: self.committed.max(place.index), ..Self::recovered(place, Vec::new(), 0) };
    }
}
