//! From the records of all segments to the log that follows the snapshot.

#![deny(clippy::disallowed_methods)]

use super::record::{Body, Head};
use crate::replication::disk::Ballot;
use crate::replication::entry::{Entry, LogId};

/// The content of the records replayed so far.
#[derive(Debug, Default)]
pub(in super::super) struct Replay {
    pub(in super::super) ballot: Ballot,
    pub(in super::super) committed: u64,
    pub(in super::super) discarded: u64,
    /// The last entry before the first segment that was read.
    follows: Option<u64>,
    entries: Vec<Entry>,
}

impl Replay {
    /// Replays the head of a segment.
    pub(super) fn head(&mut self, head: Head) {
        let previous = head.previous.map_or(0, |previous| previous.last_index);
        self.follows.get_or_insert(previous);
        (self.ballot, self.committed, self.discarded) = (head.ballot, head.committed, head.discarded);
    }

    /// Replays a batch.
    pub(super) fn body(&mut self, body: Body) -> Result<(), String> {
        self.ballot = body.ballot.unwrap_or_else(|| std::mem::take(&mut self.ballot));
        if let Some(after) = body.cut_after {
            let kept = self.entries.partition_point(|entry| entry.index <= after);
            self.entries.truncate(kept);
        }
        self.discarded += body.discarded;
        self.committed = self.committed.max(body.committed);
        for entry in body.entries {
            if let Some(last) = self.entries.last()
                && entry.index != last.index + 1
            {
                return Err(format!("entry {} follows entry {}", entry.index, last.index));
            }
            self.entries.push(entry);
        }
        Ok(())
    }

    /// The last entry so far; 0 if there is none.
    pub(super) fn last_index(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.index)
    }

    /// The entries that follow a snapshot that ends at `snapshot`.
    pub(in super::super) fn entries_after(&mut self, snapshot: LogId) -> Result<Vec<Entry>, String> {
        let follows = self.follows.unwrap_or(0);
        if follows > snapshot.index {
            return Err(format!(
                "the log follows entry {follows}, and the snapshot ends with entry {}: {} entries are missing",
                snapshot.index,
                follows - snapshot.index
            ));
        }
        let mut entries = std::mem::take(&mut self.entries);
        // A compaction was interrupted: the snapshot has these entries already.
        let first = entries.partition_point(|entry| entry.index <= snapshot.index);
        entries.drain(..first);
        match entries.first() {
            Some(entry) if entry.index != snapshot.index + 1 => Err(format!(
                "entry {} follows entry {}, the last of the snapshot: {} entries are missing",
                entry.index,
                snapshot.index,
                entry.index - snapshot.index - 1
            )),
            _ => Ok(entries),
        }
    }
}
