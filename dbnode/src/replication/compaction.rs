//! Compaction: the oldest part of a long log moves into the snapshot (the Raft paper's section 7).

#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use super::Core;
use super::disk_state::DiskState;
use super::effect::Effect;
use super::input::Moment;
use super::lead::PrimaryState;
use super::log::Log;
use super::role::RoleState;
use super::setup::Limits;

/// Pause before compaction is tried again after the disk was full.
const COMPACTION_RESTS: Duration = Duration::from_secs(1);

/// While free space is short, the log is compacted when it is larger than this: a little more than
/// one of the files that compaction frees.
const SHORT_ROOM_BYTES_MAX: usize = 10 << 20;

/// The state of compaction, and whether the last one found the disk full.
#[derive(Debug)]
pub(super) struct Compaction {
    phase: Phase,
    /// True if the last compaction found the disk full.
    pub(super) found_no_room: bool,
}

/// Whether compaction is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Compaction is in progress.
    InProgress,
    /// No compaction is in progress, and none may begin before this moment.
    NotBefore(Moment),
}

impl Compaction {
    /// No compaction is in progress, and one may begin.
    pub(super) fn new(now: Moment) -> Self {
        Self { phase: Phase::NotBefore(now), found_no_room: false }
    }

    /// True while compaction is in progress.
    pub(super) fn is_in_progress(&self) -> bool {
        self.phase == Phase::InProgress
    }

    /// True if compaction may begin.
    fn may_begin(&self, now: Moment) -> bool {
        matches!(self.phase, Phase::NotBefore(moment) if moment <= now)
    }

    /// Records that the compacted entries are in the snapshot.
    pub(super) fn finished(&mut self, now: Moment) {
        *self = Self { phase: Phase::NotBefore(now), found_no_room: false };
    }

    /// Records that compaction failed because the disk is full.
    fn not_finished(&mut self, now: Moment) {
        *self = Self { phase: Phase::NotBefore(now + COMPACTION_RESTS), found_no_room: true };
    }
}

impl DiskState {
    /// How many of the newest entries stay in the log if it is compacted now; `None` if it is short
    /// enough. On a full disk, everything possible is compacted: this needs only as much space as
    /// the snapshot grows by, and frees log space.
    fn entries_kept(&self, log: &Log, limits: &Limits) -> Option<usize> {
        let (entries, bytes) = log.size();
        match (self.found_no_room, self.room_is_short && bytes > SHORT_ROOM_BYTES_MAX) {
            (true, _) => Some(0),
            (false, true) => Some(entries / 8),
            (false, false) => is_long(log, limits, 1).then_some(entries / 2),
        }
    }
}

/// True if the log is longer than this many times its limit.
fn is_long(log: &Log, limits: &Limits, factor: usize) -> bool {
    let (entries, bytes) = log.size();
    entries > limits.log_entries * factor || bytes > limits.log_bytes * factor
}

impl Core {
    /// Moves the oldest part of a long log into the snapshot. A snapshot that is being sent should
    /// not change meanwhile, unless the log has become very long.
    pub(super) fn compact(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let Some(keep) = self.disk.entries_kept(&self.log, &self.setup.limits) else { return };
        let may_wait = !is_long(&self.log, &self.setup.limits, 4) && !self.disk.found_no_room;
        let ships_snapshot = self.lead().is_some_and(PrimaryState::ships_snapshot);
        let in_the_way = self.disk.installing.is_some() || (ships_snapshot && may_wait);
        let may_begin = self.disk.compaction.may_begin(now) && !in_the_way;
        if !may_begin || matches!(self.role_state, RoleState::Stopped) {
            return;
        }
        let oldest = self.log.oldest(keep, self.applied.index().min(self.log.persisted()));
        if !oldest.is_empty() {
            self.disk.compaction.phase = Phase::InProgress;
            effects.push(Effect::Compact(oldest));
        }
    }

    /// Handles a completed compaction.
    pub(super) fn on_compacted(&mut self, now: Moment, up_to: u64) {
        self.log.compacted_up_to(up_to);
        self.disk.compacted(now);
    }

    /// Handles a compaction that failed because the disk is full.
    pub(super) fn on_not_compacted(&mut self, now: Moment) {
        self.disk.compaction.not_finished(now);
    }
}
