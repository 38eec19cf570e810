//! Leadership transfer (the Raft thesis, section 3.10), for a primary that wants to stop or cannot
//! write: it accepts no more writes, waits until one of the others is fully caught up, and asks it
//! to start an election at once.

#![deny(clippy::disallowed_methods)]

use super::Core;
use super::effect::Effect;
use super::input::Moment;
use super::member::Name;
use super::message::Message;
use super::role::RoleState;

impl Core {
    /// Begins a leadership transfer.
    pub(super) fn begin_hand_over(&mut self, now: Moment) {
        let is_alone = self.setup.is_alone();
        if let RoleState::Primary(lead) = &mut self.role_state
            && !is_alone
        {
            lead.handing_over.get_or_insert(now);
        }
    }

    /// Asks a caught-up replica to take over. If none has done so in time, the primary carries on
    /// as before.
    pub(super) fn hand_over(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let Some(since) = self.lead().and_then(|lead| lead.handing_over) else { return };
        if now.since(since) > self.setup.timing.election_timeout {
            if let RoleState::Primary(lead) = &mut self.role_state {
                lead.handing_over = None;
            }
            return;
        }
        if let Some(successor) = self.successor() {
            self.send(&successor, Message::TimeoutNow, effects);
        }
    }

    fn successor(&self) -> Option<Name> {
        let last = self.log.last();
        let mut progress = self.lead()?.progress.iter();
        let ready = progress.find(|(name, progress)| {
            progress.matched == last
                && self.peers.is_connected(name)
                && progress.no_room.is_none()
                && self.counts_if_known(name, progress.life.as_ref())
        });
        ready.map(|(name, _)| name.clone())
    }
}
