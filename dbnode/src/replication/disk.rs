//! What is written to the disk, and what is recovered from it.

#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::member::Name;
use super::state::State;

/// The node's current term and its vote in that term (`currentTerm` and `votedFor` in the Raft
/// paper). It is on disk before any other node learns of it, so that no crash makes a node vote
/// twice in one term.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ballot {
    /// The term.
    pub term: u64,
    /// The candidate that this node voted for in the term.
    pub voted_for: Option<Name>,
}

/// One atomic write to the disk: all of it or nothing, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The ballot, when it changed.
    pub ballot: Option<Ballot>,
    /// Truncates the log after this entry.
    pub cut_after: Option<u64>,
    /// The truncated writes, to be kept aside for inspection by people.
    pub cut_off: Vec<Entry>,
    /// The entries to append to the log.
    pub entries: Vec<Entry>,
    /// The commit index when this batch was written. After a restart, everything up to it may be
    /// shown at once.
    pub committed: u64,
}

/// A snapshot received from the primary that replaces the local state and log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The snapshot.
    pub state: Arc<State>,
    /// The writes in the log that, as far as can be told, the snapshot does not contain; they are
    /// kept aside for inspection by people.
    pub cut_off: Vec<Entry>,
}

/// What was recovered from the disk at startup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// How many times a node was started from this data directory, this start included. It is on
    /// disk before the node sends anything.
    pub life: u64,
    /// The ballot.
    pub ballot: Ballot,
    /// The snapshot. Everything in it is committed.
    pub snapshot: State,
    /// The log entries that follow the snapshot.
    pub entries: Vec<Entry>,
    /// The log is known to be committed up to this index.
    pub committed: u64,
    /// The total number of writes ever truncated from this node's log.
    pub discarded: u64,
}

impl Recovered {
    /// Records that a batch was written to disk.
    pub fn store(&mut self, batch: Batch) {
        self.ballot = batch.ballot.unwrap_or_else(|| std::mem::take(&mut self.ballot));
        if let Some(after) = batch.cut_after {
            let kept = usize::try_from(after.saturating_sub(self.snapshot.applied()));
            let kept = kept.expect("a log in memory is countable");
            self.discarded += self.entries.len().saturating_sub(kept) as u64;
            self.entries.truncate(kept);
        }
        self.entries.extend(batch.entries);
        self.committed = self.committed.max(batch.committed);
    }

    /// Records that these entries, the oldest of the log, were moved into the snapshot.
    pub fn compact(&mut self, entries: &[Entry]) {
        entries.iter().for_each(|entry| self.snapshot.apply(entry));
        self.entries.drain(..entries.len());
    }

    /// Records that a received snapshot replaced the local state and log.
    pub fn install(&mut self, Installation { state, cut_off }: &Installation) {
        self.discarded += cut_off.len() as u64;
        self.committed = self.committed.max(state.applied());
        self.snapshot = State::clone(state);
        self.entries.clear();
    }
}
