//! The core's side of the disk: what is written when, and what follows from the results.

#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use super::Core;
use super::disk::Batch;
use super::effect::{Effect, Halt, RejectReason};
use super::input::Moment;
use super::log::Due;
use super::role::RoleState;

/// Maximum number of entries that may wait for the disk.
const LAG_ENTRIES_MAX: u64 = 16_384;

impl Core {
    /// Gives the disk its next work; only one operation is in progress at a time.
    pub(super) fn persist(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.log.is_persisting() || self.disk.rests(now) {
            return;
        }
        if self.disk.installing.is_some() {
            effects.extend(self.disk.begin_installing());
            return;
        }
        let ballot = self.hard_state.begin_writing();
        if ballot.is_none() && !self.log.has_batch() {
            return;
        }
        let due = self.log.begin_batch(self.setup.limits.batch_entries, self.setup.limits.batch_bytes);
        let Due { cut_after, entries } = due;
        let cut_off = self.discarded.begin_batch(cut_after.is_some());
        let committed = self.log.committed();
        self.disk.batch_begun(now);
        effects.push(Effect::Persist(Batch { ballot, cut_after, cut_off, entries, committed }));
    }

    /// Handles a batch that is on disk.
    pub(super) fn on_persisted(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.log.persisted_batch();
        self.disk.batch_persisted();
        self.discarded.batch_persisted();
        self.hard_state.written(effects);
        if self.hard_state.is_on_disk() && matches!(self.role_state, RoleState::Candidate { .. }) {
            let life = Arc::clone(&self.life);
            self.count_vote(now, self.setup.name.clone(), &life, effects);
        }
    }

    /// Handles a batch that was not written because the disk is full.
    pub(super) fn on_disk_full(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.log.not_persisted();
        self.disk.batch_found_no_room(now);
        self.discarded.batch_not_persisted();
        if self.hard_state.not_written() {
            self.withdraw(now);
        }
        // In a cluster of one, no other node has heard of what is not on disk. It can be taken
        // back, and with it everything decided on its basis.
        if self.setup.is_alone() && self.is_settled() {
            self.log.cut_after(self.log.persisted());
            if let RoleState::Primary(lead) = &mut self.role_state {
                lead.upcoming.clear();
            }
            self.waiting.reject_all(&RejectReason::DiskFull, effects);
        }
    }

    /// Withdraws a candidate whose own vote cannot be stored. No other node has heard of the
    /// candidacy, so this node can follow the current primary again.
    fn withdraw(&mut self, now: Moment) {
        if matches!(self.role_state, RoleState::Candidate { .. }) {
            self.hard_state.take_back();
            self.role_state = RoleState::Replica(Box::default());
            self.restart_election_timer(now);
        }
    }

    /// True if the disk does not keep up with the log.
    pub(super) fn disk_lags_behind(&self) -> bool {
        self.log.last() - self.log.persisted() > LAG_ENTRIES_MAX
    }

    /// Stops this node for good: it can no longer guarantee anything.
    pub(super) fn stop(&mut self, why: Halt, effects: &mut Vec<Effect>) {
        self.send_readers_away(effects);
        self.waiting.reject_all(&RejectReason::OutcomeUnknown, effects);
        self.role_state = RoleState::Stopped;
        effects.push(Effect::Halt(why));
    }

    /// Truncates the part of the log that diverged.
    pub(super) fn truncate_log_after(&mut self, index: u64) {
        self.discarded.add(self.log.cut_after(index));
        self.refresh_shown();
    }
}
