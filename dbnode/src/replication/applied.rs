//! What this node has applied of its log (the Raft paper's state machine and `lastApplied`).

#![deny(clippy::disallowed_methods)]

use super::entry::Entry;
use super::log::Log;
use super::showing::Shown;
use super::state::State;

/// The state after the last applied entry, and what readers see beyond it.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) state: State,
    pub(super) shown: Shown,
    /// True if the state began with imported records and no snapshot has replaced it yet.
    pub(super) began_with_import: bool,
}

impl Applied {
    /// Restores the state that was found on disk.
    pub(super) fn recovered(state: State, began_with_import: bool) -> Self {
        Self { state, shown: Shown::default(), began_with_import }
    }

    /// The index of the last applied entry (`lastApplied`).
    pub(super) fn index(&self) -> u64 {
        self.state.applied()
    }

    /// Applies the next entry if it is committed, and returns it.
    pub(super) fn apply_next<'log>(&mut self, log: &'log Log) -> Option<&'log Entry> {
        if self.index() >= log.committed() {
            return None;
        }
        let entry = log.get(self.index() + 1).expect("what is not applied is in memory");
        self.state.apply(entry);
        self.shown.applied(entry);
        Some(entry)
    }

    /// Replaces the state with that of a snapshot.
    pub(super) fn replaced_by_snapshot(&mut self, state: State) {
        *self = Self::recovered(state, false);
    }
}
