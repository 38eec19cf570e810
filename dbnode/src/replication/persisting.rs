//! The core's side of the disk: what is written when, and what follows from the results.

#![deny(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::disk::{Ballot, Batch, Installation};
use super::effect::{Effect, Halt, RejectReason};
use super::entry::Entry;
use super::input::Moment;
use super::log::Due;
use super::member::Name;
use super::message::Message;
use super::role::RoleState;
use super::snapshot::Receipt;
use super::state::State;

/// Pause before a full disk is tried again.
const FULL_DISK_RESTS: Duration = Duration::from_millis(200);

/// Maximum number of entries that may wait for the disk.
const LAG_ENTRIES_MAX: u64 = 16_384;

/// Pause before compaction is tried again after the disk was full.
const COMPACTION_RESTS: Duration = Duration::from_secs(1);

/// While free space is short, the log is compacted when it is larger than this: a little more than
/// one of the files that compaction frees.
const SHORT_ROOM_BYTES_MAX: usize = 10 << 20;

/// Maximum number of messages that wait for the ballot to be on disk; more are dropped, as if lost.
const HELD_MAX: usize = 1_024;

/// Whether the ballot is on disk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BallotOnDisk {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// This ballot is being written.
    Under(Ballot),
}

/// Whether compaction is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compacting {
    /// It is.
    UnderWay,
    /// It is not, and must not begin before this moment.
    NotBefore(Moment),
}

/// A snapshot that will replace the state and the log.
#[derive(Debug)]
pub(super) struct Installing {
    installation: Installation,
    /// The primary that waits for a confirmation.
    receipt: Option<(Name, Receipt)>,
    /// True once it was given to the disk.
    begun: bool,
}

impl Core {
    /// Changes the ballot. Messages from now on are held back until it is on disk.
    pub(super) fn set_ballot(&mut self, ballot: Ballot) {
        self.ballot = ballot;
        if self.ballot_on_disk == BallotOnDisk::Yes {
            self.ballot_on_disk = BallotOnDisk::No;
        }
    }

    /// Holds back messages that rely on a ballot that is not on disk yet.
    pub(super) fn hold_back(&mut self, effects: &mut Vec<Effect>) {
        if self.ballot_on_disk == BallotOnDisk::Yes {
            return;
        }
        let promises = |effect: &mut Effect| match effect {
            Effect::Send { envelope, .. } => envelope.message != Message::NoRoom,
            _ => false,
        };
        let messages = effects.extract_if(.., promises);
        let room = HELD_MAX.saturating_sub(self.held.len());
        self.held.extend(messages.take(room));
    }

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
        let ballot = (self.ballot_on_disk == BallotOnDisk::No).then(|| self.ballot.clone());
        if ballot.is_none() && !self.log.has_batch() {
            return;
        }
        if let Some(ballot) = &ballot {
            self.ballot_on_disk = BallotOnDisk::Under(ballot.clone());
        }
        let due = self.log.begin_batch(self.limits.batch_entries, self.limits.batch_bytes);
        let Due { cut_after, entries } = due;
        let mut cut_off = std::mem::take(&mut self.cut_off);
        if cut_after.is_none() {
            // The truncated entries never reached the disk.
            cut_off.clear();
        }
        self.discarded += cut_off.len() as u64;
        let committed = self.committed;
        self.persisting_since = Some(now);
        effects.push(Effect::Persist(Batch { ballot, cut_after, cut_off, entries, committed }));
    }

    /// Handles a batch that is on disk.
    pub(super) fn persisted(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.log.persisted_batch();
        self.persisting_since = None;
        self.found_no_room = false;
        if let BallotOnDisk::Under(ballot) = &self.ballot_on_disk {
            self.ballot_saved.clone_from(ballot);
            if *ballot == self.ballot {
                self.ballot_on_disk = BallotOnDisk::Yes;
                effects.append(&mut self.held);
            } else {
                self.ballot_on_disk = BallotOnDisk::No;
            }
        }
        if self.ballot_on_disk == BallotOnDisk::Yes && matches!(self.role_state, RoleState::Candidate { .. })
        {
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
        if matches!(self.ballot_on_disk, BallotOnDisk::Under(_)) {
            self.ballot_on_disk = BallotOnDisk::No;
            self.withdraw(now);
        }
        // In a cluster of one, no other node has heard of what is not on disk. It can be taken
        // back, and with it everything decided on its basis.
        if self.names.len() == 1 && self.is_settled() {
            self.log.cut_after(self.log.persisted());
            self.upcoming.clear();
            self.waiting.reject_all(&RejectReason::DiskFull, effects);
        }
    }

    /// Withdraws a candidate whose own vote cannot be stored. No other node has heard of the
    /// candidacy, so this node can follow the current primary again.
    fn withdraw(&mut self, now: Moment) {
        if matches!(self.role_state, RoleState::Candidate { .. }) {
            self.ballot = self.ballot_saved.clone();
            self.ballot_on_disk = BallotOnDisk::Yes;
            self.held.clear();
            self.role_state = RoleState::Replica(Box::default());
            self.election_due = self.draw_election(now);
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

    /// Installs a snapshot as soon as the disk is free.
    pub(super) fn install(&mut self, from: Name, receipt: Receipt, state: State) {
        let cut_off = self.missing_in(&state);
        let installation = Installation { state: Arc::new(state), cut_off };
        self.installing = Some(Installing { installation, receipt: Some((from, receipt)), begun: false });
    }

    /// Starts over with an empty state as soon as the disk is free.
    pub(super) fn begin_with_nothing(&mut self) {
        let installation = Installation { state: Arc::default(), cut_off: Vec::new() };
        self.installing = Some(Installing { installation, receipt: None, begun: false });
    }

    /// The writes in this log that are not known to be in a snapshot: those after the last one that
    /// is. Two logs with one entry in common have everything before it in common.
    fn missing_in(&self, state: &State) -> Vec<Entry> {
        let is_there = |entry: &Entry| {
            let write = entry.write()?;
            let record = state.get(write.key.as_str()).map(|record| record.version);
            let request = write.request.as_ref().and_then(|request| state.requests().get(&request.id));
            let known = [record, request.map(|request| request.written.version)];
            known.contains(&Some(entry.version())).then_some(())
        };
        let log = (self.committed + 1..=self.log.last()).rev().map_while(|index| self.log.get(index));
        let mut missing: Vec<_> = log.take_while(|entry| is_there(entry).is_none()).cloned().collect();
        missing.retain(|entry| entry.write().is_some());
        missing.reverse();
        missing
    }

    /// Handles a snapshot that has replaced the state and the log.
    pub(super) fn installed(&mut self, effects: &mut Vec<Effect>) {
        let Some(Installing { installation, receipt, .. }) = self.installing.take() else { return };
        let Installation { state, cut_off } = installation;
        let place = state.log_id();
        self.discarded += cut_off.len() as u64;
        self.state = Arc::unwrap_or_clone(state);
        self.began_with_import = false;
        self.log.replaced_by_snapshot(place);
        self.committed = match receipt {
            Some(_) => self.committed.max(place.index),
            None => place.index,
        };
        self.forget_earlier_starts();
        self.refresh_visible();
        if let Some((from, receipt)) = receipt {
            self.send(&from, Message::InstallSnapshotResponse(receipt), effects);
        }
    }

    /// True if the last batch or the last compaction found the disk full.
    pub fn has_no_room(&self) -> bool {
        self.found_no_room || self.fold_found_no_room
    }

    /// Moves the oldest part of a long log into the snapshot. On a full disk, everything that can
    /// be moved is: this needs only as much space as the snapshot grows by, and frees log space.
    pub(super) fn compact(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let (entries, bytes) = self.log.size();
        let large =
            |factor| entries > self.limits.log_entries * factor || bytes > self.limits.log_bytes * factor;
        let keep = match (self.found_no_room, self.room_is_short && bytes > SHORT_ROOM_BYTES_MAX) {
            (true, _) => 0,
            (false, true) => entries / 8,
            (false, false) if large(1) => entries / 2,
            (false, false) => return,
        };
        let rested = matches!(self.compacting, Compacting::NotBefore(moment) if moment <= now);
        let may_wait = !large(4) && !self.found_no_room;
        let in_the_way = self.installing.is_some() || (self.ships_snapshot() && may_wait);
        if !rested || in_the_way || matches!(self.role_state, RoleState::Stopped) {
            return;
        }
        let oldest = self.log.oldest(keep, self.state.applied().min(self.log.persisted()));
        if !oldest.is_empty() {
            self.compacting = Compacting::UnderWay;
            effects.push(Effect::Compact(oldest));
        }
    }

    /// Handles a completed compaction.
    pub(super) fn compacted(&mut self, now: Moment, up_to: u64) {
        self.log.folded_up_to(up_to);
        self.compacting = Compacting::NotBefore(now);
        self.fold_found_no_room = false;
        if self.found_no_room {
            // There may be room now.
            self.disk_rests_until = now;
        }
    }

    /// Handles a compaction that failed because the disk is full.
    pub(super) fn not_folded(&mut self, now: Moment) {
        self.compacting = Compacting::NotBefore(now + COMPACTION_RESTS);
        self.fold_found_no_room = true;
    }
}
