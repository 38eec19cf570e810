//! Writes, from the client to the answer.

#![deny(clippy::disallowed_methods)]

use super::Core;
use super::decide::{Decision, decide};
use super::durability::{Mode, Reached, acknowledged};
use super::effect::{Effect, Refusal, Written};
use super::entry::Payload;
use super::input::{Moment, Ticket, Write};
use super::planted::Bug;
use super::role::Standing;
use super::waiting::Waiter;

/// The log may grow to so many times its usual size while folding it falls behind.
const LOG_BYTES_FACTOR_MAX: usize = 8;

impl Core {
    /// A client wants something written.
    pub(super) fn take(&mut self, now: Moment, ticket: Ticket, write: Write, effects: &mut Vec<Effect>) {
        if let Some(refusal) = self.closed(now) {
            effects.push(Effect::Reject { ticket, refusal });
            return;
        }
        let answer = match decide(write, &self.state, &self.upcoming) {
            Decision::Append { write, sum } => {
                let entry = self.log.append(self.ballot.term, Payload::Write(write));
                self.upcoming.add(entry);
                Ok(Written { version: entry.version(), sum })
            }
            Decision::Repeated(written) => Ok(written),
            Decision::Refuse(refusal) => Err(refusal),
        };
        let deadline = now + self.limits.patience;
        self.waiting.push(Waiter { ticket, after: self.log.last(), deadline, answer });
    }

    /// Why no write is taken now.
    fn closed(&self, now: Moment) -> Option<Refusal> {
        let lead = match &self.standing {
            Standing::Stopped => return Some(Refusal::Stopped),
            Standing::Primary(lead) => lead,
            _ => {
                return Some(match self.primary() {
                    Some(primary) => Refusal::NotPrimary(primary.clone()),
                    None => Refusal::NoPrimary,
                });
            }
        };
        let (_, log_bytes) = self.log.size();
        if lead.handing_over.is_some() {
            Some(Refusal::HandingOver)
        } else if self.disk_is_full(now) {
            Some(Refusal::DiskFull)
        } else if self.waiting.count() >= self.limits.waiting
            || self.disk_lags_behind()
            || log_bytes > self.limits.log_bytes * LOG_BYTES_FACTOR_MAX
        {
            Some(Refusal::Overloaded)
        } else if self.mode == Mode::Sync {
            self.member_down(now).map(Refusal::MemberDown)
        } else {
            None
        }
    }

    /// Answers those whose answers have become true.
    pub(super) fn answer_writers(&mut self, effects: &mut Vec<Effect>) {
        if self.waiting.count() == 0 {
            return;
        }
        let reached = Reached {
            own_disk: self.log.persisted(),
            committed: self.committed,
            applied_everywhere: match self.planted.has(Bug::SyncWithoutAll) {
                true => self.committed,
                false => self.applied_everywhere(),
            },
        };
        self.waiting.answer(acknowledged(self.mode, reached), effects);
    }
}
