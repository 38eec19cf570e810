//! Who has no room on its disk, and what follows from it: the others hear of it, a primary that
//! can write nothing lets somebody else lead, and a node that can write nothing does not ask to.

#![deny(clippy::disallowed_methods)]

use super::Core;
use super::durability::Mode;
use super::effect::{Effect, Notice, RejectReason};
use super::input::Moment;
use super::lead::Progress;
use super::member::{Name, majority};
use super::message::Message;
use super::persisting::BallotOnDisk;
use super::role::RoleState;

/// The log may grow to so many times its usual size while compaction falls behind.
const LOG_BYTES_FACTOR_MAX: usize = 8;

impl Core {
    /// True when this node can write nothing: its disk had no room for what waits to be written, or
    /// its log is as long as it may be and cannot be compacted.
    pub(super) fn cannot_write(&self, now: Moment) -> bool {
        self.disk_is_full(now) || self.log_is_too_long()
    }

    /// The log is compacted more slowly than it grows, or not at all.
    pub(super) fn log_is_too_long(&self) -> bool {
        let (_, bytes) = self.log.size();
        bytes > self.limits.log_bytes.saturating_mul(LOG_BYTES_FACTOR_MAX)
    }

    /// The disk found no room, and something is to be written yet.
    pub(super) fn waits_for_room(&self) -> bool {
        self.found_no_room && (self.log.has_batch() || self.ballot_on_disk != BallotOnDisk::Yes)
    }

    /// Tells the others, now and then, while there is no room. It is not held back as other
    /// messages are, for the ballot finds no room either.
    pub(super) fn tell_of_no_room(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if !(self.waits_for_room() || self.log_is_too_long()) {
            self.no_room_told = None;
            return;
        }
        let heartbeat = self.timing.heartbeat();
        if self.no_room_told.is_some_and(|told| now.since(told) < heartbeat) {
            return;
        }
        self.no_room_told = Some(now);
        for name in self.others() {
            self.send(&name, Message::NoRoom, effects);
        }
    }

    /// A snapshot found no room.
    pub(super) fn not_installed(&mut self, effects: &mut Vec<Effect>) {
        self.installing = None;
        for name in self.others() {
            self.send(&name, Message::NoRoom, effects);
        }
    }

    /// Another node's disk is full.
    pub(super) fn hear_of_no_room(&mut self, now: Moment, from: &Name, effects: &mut Vec<Effect>) {
        let RoleState::Primary(lead) = &mut self.role_state else { return };
        let Some(progress) = lead.progress.get_mut(from) else { return };
        if progress.no_room.replace(now).is_none() {
            effects.push(Effect::Tell(Notice::MemberFull(from.clone())));
            if self.mode == Mode::Sync {
                self.waiting.reject_all(&RejectReason::OutcomeUnknown, effects);
            }
        }
    }

    /// Those that have not said so for a while have room again, as far as is known.
    pub(super) fn forget_no_room(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let patience = self.timing.election_timeout;
        let RoleState::Primary(lead) = &mut self.role_state else { return };
        for (name, progress) in &mut lead.progress {
            let was_full = progress.said_no_room;
            progress.said_no_room = progress.no_room.is_some();
            if progress.no_room.is_some_and(|said| now.since(said) > patience) {
                (progress.no_room, progress.said_no_room) = (None, false);
            }
            if was_full && !progress.said_no_room {
                effects.push(Effect::Tell(Notice::MemberHasRoom(name.clone())));
            }
        }
    }

    /// A primary that can write nothing lets somebody else lead, when the others can do without it.
    pub(super) fn give_way(&mut self, now: Moment) {
        if self.lead().is_some() && self.cannot_write(now) && self.others_can_write(now) {
            self.begin_hand_over(now);
        }
    }

    fn others_can_write(&self, now: Moment) -> bool {
        let count = self.lead().into_iter().flat_map(|lead| &lead.progress);
        count.filter(|(name, progress)| self.can_write(now, name, progress)).count()
            >= majority(self.names.len())
    }

    /// True when it is within reach, counts, and has room, as far as is known.
    pub(super) fn can_write(&self, now: Moment, name: &str, progress: &Progress) -> bool {
        self.connected_peers.contains_key(name)
            && now.since(progress.heard) < self.timing.election_timeout
            && progress.no_room.is_none()
            && self.counts_if_known(name, progress.life.as_ref())
    }

    /// A member whose full disk keeps writes from being confirmed, when there is one.
    pub(super) fn member_in_the_way(&self) -> Option<Name> {
        let progress = &self.lead()?.progress;
        let mut full = progress.iter().filter(|(_, progress)| progress.no_room.is_some());
        let allowed = match self.mode {
            Mode::Async => return None,
            Mode::Quorum => self.names.len() - majority(self.names.len()),
            Mode::Sync => 0,
        };
        full.nth(allowed).map(|(name, _)| name.clone())
    }
}
