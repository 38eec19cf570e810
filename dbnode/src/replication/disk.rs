//! What goes to the disk, and what is found there.

#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::member::Name;
use super::state::State;

/// In which term a node is, and whom it voted for in it. On disk before anybody hears of it, so
/// that no crash makes a node vote twice in one term.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ballot {
    /// The term.
    pub term: u64,
    /// Whom this node voted for in it.
    pub voted_for: Option<Name>,
}

/// What goes to the disk in one step: all of it or nothing, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The ballot, when it changed.
    pub ballot: Option<Ballot>,
    /// The log is cut after this entry.
    pub cut_after: Option<u64>,
    /// What is cut off, to be kept aside for people to look at.
    pub cut_off: Vec<Entry>,
    /// What is added to the log.
    pub entries: Vec<Entry>,
    /// So far the log was committed when this was written: after a restart, so much may be shown
    /// at once.
    pub committed: u64,
}

/// A snapshot that came from elsewhere, to be put in the place of everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The snapshot.
    pub state: Arc<State>,
    /// What is in the log and, as far as can be told, not in the snapshot, to be kept aside for people
    /// to look at.
    pub cut_off: Vec<Entry>,
}

/// What was found at start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// How often this data directory was started from, this start included. On disk before the
    /// node says anything.
    pub life: u64,
    /// The ballot.
    pub ballot: Ballot,
    /// The snapshot. Everything in it is committed.
    pub snapshot: State,
    /// The log that follows it.
    pub entries: Vec<Entry>,
    /// So far the log was surely committed.
    pub committed: u64,
    /// How many writes were ever cut off this node's log.
    pub discarded: u64,
}

impl Recovered {
    /// A batch was written: what is found from now on.
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

    /// These, the oldest of the log, were moved into the snapshot.
    pub fn compact(&mut self, entries: &[Entry]) {
        entries.iter().for_each(|entry| self.snapshot.apply(entry));
        self.entries.drain(..entries.len());
    }

    /// This took the place of the snapshot.
    pub fn install(&mut self, Installation { state, cut_off }: &Installation) {
        self.discarded += cut_off.len() as u64;
        self.committed = self.committed.max(state.applied());
        self.snapshot = State::clone(state);
        self.entries.clear();
    }
}
