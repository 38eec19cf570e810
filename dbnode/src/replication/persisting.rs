//! The core's side of the disk: what is written when, and what follows from the results.

#![deny(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::compaction::Compacting;
use super::disk::Batch;
use super::effect::{Effect, Halt, RejectReason};
use super::input::Moment;
use super::log::Due;
use super::role::RoleState;

/// Pause before a full disk is tried again.
const FULL_DISK_RESTS: Duration = Duration::from_millis(200);

/// Maximum number of entries that may wait for the disk.
const LAG_ENTRIES_MAX: u64 = 16_384;

impl Core {
    /// Gives the disk its next work; only one operation is in progress at a time.
    pub(super) fn persist(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.log.is_persisting() || now < self.disk_rests_until {
            return;
        }
        if let Some(installing) = &mut self.installing {
            if !installing.begun && self.compacting != Compacting::UnderWay {
                installing.begun = true;
                effects.push(Effect::Install(installing.installation.clone()));
            }
            return;
        }
        let ballot = self.hard_state.begin_writing();
        if ballot.is_none() && !self.log.has_batch() {
            return;
        }
        let due = self.log.begin_batch(self.limits.batch_entries, self.limits.batch_bytes);
        let Due { cut_after, entries } = due;
        let mut cut_off = std::mem::take(&mut self.cut_off);
        if cut_after.is_none() {
            // The truncated entries never reached the disk.
            cut_off.clear();
        }
        self.discarded += cut_off.len() as u64;
        let committed = self.log.committed();
        self.persisting_since = Some(now);
        effects.push(Effect::Persist(Batch { ballot, cut_after, cut_off, entries, committed }));
    }

    /// Handles a batch that is on disk.
    pub(super) fn persisted(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.log.persisted_batch();
        self.persisting_since = None;
        self.found_no_room = false;
        self.hard_state.written(effects);
        if self.hard_state.is_on_disk() && matches!(self.role_state, RoleState::Candidate { .. }) {
            let life = Arc::clone(&self.life);
            self.take_vote(now, self.name.clone(), &life, effects);
        }
    }

    /// Handles a batch that was not written because the disk is full.
    pub(super) fn disk_full(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.log.not_persisted();
        self.persisting_since = None;
        self.found_no_room = true;
        self.disk_rests_until = now + FULL_DISK_RESTS;
        if self.hard_state.not_written() {
            self.withdraw(now);
        }
        // In a cluster of one, no other node has heard of what is not on disk. It can be taken
        // back, and with it everything decided on its basis.
        if self.names.len() == 1 && self.is_settled() {
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

    /// True while the disk is full, as far as is known. A batch that failed is retried if it still
    /// exists; other members may have confirmed its entries.
    pub(super) fn disk_is_full(&self, now: Moment) -> bool {
        now < self.disk_rests_until || (self.found_no_room && self.log.has_batch())
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
        let dropped = self.log.cut_after(index);
        self.cut_off.extend(dropped.into_iter().filter(|entry| entry.write().is_some()));
        self.refresh_visible();
    }
}
