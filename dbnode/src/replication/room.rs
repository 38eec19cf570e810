//! Full disks and what follows from them. A node without room tells the others, a primary that
//! cannot write hands over leadership, and a node that cannot write does not stand for election.

#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use super::Core;
use super::durability::Mode;
use super::effect::{Effect, Notice, RejectReason};
use super::input::Moment;
use super::lead::{PrimaryState, Progress};
use super::member::Name;
use super::message::Message;
use super::role::RoleState;

/// How many times its usual size the log may grow to while compaction falls behind.
const LOG_BYTES_FACTOR_MAX: usize = 8;

impl Core {
    /// True if this node cannot write: its disk has no room for the pending batch, or its log is as
    /// long as it may be and cannot be compacted.
    pub(super) fn cannot_write(&self, now: Moment) -> bool {
        self.disk.is_full(now, &self.log) || self.log_is_too_long()
    }

    /// True if the log grows faster than it is compacted, or cannot be compacted at all.
    pub(super) fn log_is_too_long(&self) -> bool {
        let (_, bytes) = self.log.size();
        bytes > self.setup.limits.log_bytes.saturating_mul(LOG_BYTES_FACTOR_MAX)
    }

    /// True if the disk was full and something is still waiting to be written.
    pub(super) fn waits_for_room(&self) -> bool {
        self.disk.found_no_room && (self.log.has_batch() || !self.hard_state.is_on_disk())
    }

    /// True if the last batch or the last compaction found the disk full.
    pub fn has_no_room(&self) -> bool {
        self.disk.found_no_room || self.disk.compaction.found_no_room
    }

    /// Tells the others, once per heartbeat, while the disk is full. The message is not held back
    /// as others are, because the ballot finds no room either.
    pub(super) fn tell_of_no_room(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if !(self.waits_for_room() || self.log_is_too_long()) {
            self.disk.no_room_sent_at = None;
            return;
        }
        let heartbeat = self.setup.timing.heartbeat();
        if self.disk.no_room_sent_at.is_some_and(|sent_at| now.since(sent_at) < heartbeat) {
            return;
        }
        self.disk.no_room_sent_at = Some(now);
        for name in self.setup.others() {
            self.send(&name, Message::NoRoom, effects);
        }
    }

    /// Handles another node's report that its disk is full.
    pub(super) fn on_no_room(&mut self, now: Moment, from: &Name, effects: &mut Vec<Effect>) {
        let RoleState::Primary(lead) = &mut self.role_state else { return };
        let Some(progress) = lead.progress.get_mut(from) else { return };
        if progress.no_room.replace(now).is_none() {
            effects.push(Effect::Tell(Notice::MemberFull(from.clone())));
            if self.setup.mode == Mode::Sync {
                self.waiting.reject_all(&RejectReason::OutcomeUnknown, effects);
            }
        }
    }

    /// Assumes that members that have not repeated the report for a while have room again.
    pub(super) fn forget_no_room(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if let RoleState::Primary(lead) = &mut self.role_state {
            lead.forget_no_room(now, self.setup.timing.election_timeout, effects);
        }
    }

    /// Hands over leadership if this primary cannot write and the others can do without it.
    pub(super) fn give_way(&mut self, now: Moment) {
        if self.lead().is_some() && self.cannot_write(now) && self.others_can_write(now) {
            self.begin_hand_over(now);
        }
    }

    fn others_can_write(&self, now: Moment) -> bool {
        let count = self.lead().into_iter().flat_map(|lead| &lead.progress);
        count.filter(|(name, progress)| self.can_write(now, name, progress)).count() >= self.setup.majority()
    }

    /// True if the member is connected, counts, and has room, as far as is known.
    pub(super) fn can_write(&self, now: Moment, name: &str, progress: &Progress) -> bool {
        self.peers.is_connected(name)
            && now.since(progress.heard) < self.setup.timing.election_timeout
            && progress.no_room.is_none()
            && self.counts_if_known(name, progress.life.as_ref())
    }

    /// A member whose full disk prevents writes from being confirmed, if there is one.
    pub(super) fn member_in_the_way(&self) -> Option<Name> {
        let progress = &self.lead()?.progress;
        let mut full = progress.iter().filter(|(_, progress)| progress.no_room.is_some());
        let allowed = match self.setup.mode {
            Mode::Async => return None,
            Mode::Quorum => self.setup.members.len() - self.setup.majority(),
            Mode::Sync => 0,
        };
        full.nth(allowed).map(|(name, _)| name.clone())
    }
}

impl PrimaryState {
    /// Assumes that members that have not repeated the report for this long have room again.
    fn forget_no_room(&mut self, now: Moment, patience: Duration, effects: &mut Vec<Effect>) {
        for (name, progress) in &mut self.progress {
            let was_full = progress.had_no_room;
            progress.had_no_room = progress.no_room.is_some();
            if progress.no_room.is_some_and(|said| now.since(said) > patience) {
                (progress.no_room, progress.had_no_room) = (None, false);
            }
            if was_full && !progress.had_no_room {
                effects.push(Effect::Tell(Notice::MemberHasRoom(name.clone())));
            }
        }
    }
}
