//! Compaction: the oldest part of a long log moves into the snapshot (the Raft paper's section 7).

#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use super::Core;
use super::effect::Effect;
use super::input::Moment;
use super::role::RoleState;

/// Pause before compaction is tried again after the disk was full.
const COMPACTION_RESTS: Duration = Duration::from_secs(1);

/// While free space is short, the log is compacted when it is larger than this: a little more than
/// one of the files that compaction frees.
const SHORT_ROOM_BYTES_MAX: usize = 10 << 20;

/// Whether compaction is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compacting {
    /// It is.
    UnderWay,
    /// It is not, and must not begin before this moment.
    NotBefore(Moment),
}

impl Core {
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
