//! From the records of all segments to the log that follows the snapshot.

#![deny(clippy::disallowed_methods)]

use super::record::{Body, Head};
use crate::replication::disk::Ballot;
use crate::replication::entry::{Entry, Place};

/// What the records say, one after the other.
#[derive(Debug, Default)]
pub(in super::super) struct Replay {
    pub(in super::super) ballot: Ballot,
    pub(in super::super) committed: u64,
    pub(in super::super) discarded: u64,
    entries: Vec<Entry>,
}

impl Replay {
    /// A segment begins.
    pub(super) fn head(&mut self, head: Head) {
        (self.ballot, self.committed, self.discarded) = (head.ballot, head.committed, head.discarded);
    }

    /// A batch follows.
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

    /// The last entry so far; 0 without any.
    pub(super) fn last_index(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.index)
    }

    /// The entries that follow a snapshot which ends there.
    pub(in super::super) fn entries_after(&mut self, snapshot: Place) -> Result<Vec<Entry>, String> {
        let mut entries = std::mem::take(&mut self.entries);
        // A fold was cut short: the snapshot has them already.
        let first = entries.partition_point(|entry| entry.index <= snapshot.index);
        entries.drain(..first);
        match entries.first() {
            Some(entry) if entry.index != snapshot.index + 1 => Err(format!(
                "entry {} follows entry {}, the last of the snapshot",
                entry.index, snapshot.index
            )),
            _ => Ok(entries),
        }
    }
}
