//! The path of a write from the client's request to the response.

#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use super::Core;
use super::decide::{Decision, decide};
use super::durability::{Mode, Reached, acknowledged};
use super::effect::{Effect, RejectReason, Written};
use super::input::{Moment, Ticket, Write};
use super::lead::PrimaryState;
use super::role::RoleState;
use super::setup::Limits;
use super::upcoming::Naming;
use super::waiting::Waiter;

impl Core {
    /// Handles a client's write.
    pub(super) fn on_client_write(
        &mut self,
        now: Moment,
        ticket: Ticket,
        write: Write,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(refusal) = self.closed(now) {
            effects.push(Effect::Reject { ticket, refusal });
            return;
        }
        let RoleState::Primary(lead) = &mut self.role_state else {
            unreachable!("writes are closed unless this node is the primary")
        };
        let naming = lead.naming(now, &self.setup.limits);
        let answer = match decide(write, &self.applied.state, &lead.upcoming, &naming) {
            Decision::AppendEntries { payload, sum } => {
                let entry = self.log.append(self.hard_state.term(), payload);
                lead.upcoming.add(entry);
                Ok(Written { version: entry.version(), sum })
            }
            Decision::Repeated(written) => Ok(written),
            Decision::Refuse(refusal) => Err(refusal),
        };
        let deadline = now + self.setup.limits.patience;
        self.waiting.push(Waiter { ticket, after: self.log.last(), deadline, answer });
    }

    /// The reason for which writes are rejected now, if any.
    fn closed(&self, now: Moment) -> Option<RejectReason> {
        let lead = match &self.role_state {
            RoleState::Stopped => return Some(RejectReason::Stopped),
            RoleState::Primary(lead) => lead,
            _ => {
                return Some(match self.primary() {
                    Some(primary) => RejectReason::NotPrimary(primary.clone()),
                    None => RejectReason::NoPrimary,
                });
            }
        };
        if self.disk.is_full(now, &self.log) {
            Some(RejectReason::DiskFull)
        } else if lead.handing_over.is_some() {
            Some(RejectReason::HandingOver)
        } else if self.waiting.count() >= self.setup.limits.waiting
            || self.disk_lags_behind()
            || self.log_is_too_long()
        {
            Some(RejectReason::Overloaded)
        } else if let Some(full) = self.member_in_the_way() {
            Some(RejectReason::MemberFull(full))
        } else if self.setup.mode == Mode::Sync {
            self.member_down(now).map(RejectReason::MemberDown)
        } else {
            None
        }
    }

    /// Answers the clients whose responses have become final.
    pub(super) fn answer_writers(&mut self, effects: &mut Vec<Effect>) {
        if self.waiting.count() == 0 {
            return;
        }
        let reached = Reached {
            own_disk: self.log.persisted(),
            committed: self.log.committed(),
            applied_everywhere: self.applied_everywhere(),
        };
        self.waiting.answer(acknowledged(self.setup.mode, reached), effects);
    }
}

impl PrimaryState {
    /// The parameters for remembering request ids. The cluster's clock advances with the primary's.
    fn naming(&self, now: Moment, limits: &Limits) -> Naming {
        let (began, then) = self.clock;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Naming {
            now: then.saturating_add(millis(now.since(began))),
            window: millis(limits.names_kept),
            bytes_max: limits.names_bytes,
        }
    }
}
