//! What readers of this node see: the committed state, and in `async` mode also entries that are
//! only on this node's own disk and may still be lost.

#![deny(clippy::disallowed_methods)]

use super::Core;
use super::durability::{Mode, shown};
use super::entry::Entry;
use super::input::Moment;
use super::key::Key;
use super::log::Log;
use super::role::RoleState;
use super::state::{Record, State};
use super::upcoming::Upcoming;

/// The entries shown beyond the committed state.
#[derive(Debug, Default)]
pub(super) struct Shown {
    ahead: Upcoming,
    /// The last of these entries.
    up_to: u64,
}

impl Shown {
    /// Records that an entry was applied to the state.
    pub(super) fn applied(&mut self, entry: &Entry) {
        if entry.index <= self.up_to {
            self.ahead.applied(entry);
        }
    }

    /// Adds the entries that are on disk and not applied yet.
    fn extend(&mut self, log: &Log, applied: u64) {
        let from = self.up_to.max(applied);
        for index in from + 1..=log.persisted() {
            self.ahead.add(log.get(index).expect("what is not applied is in memory"));
        }
        self.up_to = log.persisted().max(from);
    }
}

/// The records as readers of this node see them.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    state: &'a State,
    ahead: &'a Upcoming,
}

impl<'a> View<'a> {
    /// Looks up a record.
    pub fn get(&self, key: &str) -> Option<Record> {
        let record = self.ahead.record(self.state, key)?;
        Some(Record { value: record.value.clone(), version: record.version, page: record.page })
    }

    /// The records whose key begins with `prefix`, in order, starting after `after`.
    pub fn scan(self, prefix: &'a str, after: &'a str) -> impl Iterator<Item = (&'a Key, Record)> {
        self.ahead.scan(self.state, prefix, after)
    }
}

impl Core {
    /// The records as readers see them.
    pub fn view(&self) -> View<'_> {
        View { state: &self.applied.state, ahead: &self.applied.shown.ahead }
    }

    /// The last entry that readers see.
    pub fn shown_index(&self) -> u64 {
        shown(self.setup.mode, self.log.persisted(), self.applied.index())
    }

    /// How stale the data shown here may be, in milliseconds: 0 on a primary, `None` if no primary
    /// is known.
    pub fn lag_ms(&self, now: Moment) -> Option<u64> {
        match &self.role_state {
            RoleState::Primary(_) => Some(0),
            RoleState::Replica(following) => following.lag_ms(now),
            _ => None,
        }
    }

    /// In `async` mode, shows the entries that have reached this node's disk.
    pub(super) fn show(&mut self) {
        if self.setup.mode == Mode::Async {
            self.applied.shown.extend(&self.log, self.applied.state.applied());
        }
    }

    /// Rebuilds the view after the log was truncated: lost entries are no longer shown.
    pub(super) fn refresh_shown(&mut self) {
        self.applied.shown = Shown::default();
        self.show();
    }
}
