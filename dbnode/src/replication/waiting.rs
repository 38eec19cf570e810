//! The clients that wait, in the order in which their answers become true.
//!
//! Refusals wait too: "the record is there already" may only be said when what it refers to is on
//! disk, for otherwise it might never have been there.

#![deny(clippy::disallowed_methods)]

use std::collections::VecDeque;

use super::effect::{Effect, RejectReason, Written};
use super::input::{Moment, Ticket};

/// The clients that wait.
#[derive(Debug, Default)]
pub struct Waiting {
    queue: VecDeque<Waiter>,
}

/// A client that waits.
#[derive(Debug)]
pub struct Waiter {
    /// The client that waits.
    pub ticket: Ticket,
    /// Its answer is true when this entry is durable.
    pub after: u64,
    /// Till when it waits.
    pub deadline: Moment,
    /// What it will be told.
    pub answer: Result<Written, RejectReason>,
}

impl Waiting {
    /// One more. Neither `after` nor `deadline` is ever less than that of the one before.
    pub fn push(&mut self, waiter: Waiter) {
        self.queue.push_back(waiter);
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.queue.len()
    }

    /// Answers those whose answers have become true.
    pub fn answer(&mut self, durable: u64, effects: &mut Vec<Effect>) {
        while let Some(waiter) = self.queue.pop_front_if(|waiter| waiter.after <= durable) {
            effects.push(match waiter.answer {
                Ok(written) => Effect::Acknowledge { ticket: waiter.ticket, written },
                Err(refusal) => Effect::Reject { ticket: waiter.ticket, refusal },
            });
        }
    }

    /// Tells those who have waited long enough that nobody knows.
    pub fn expire(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        while let Some(waiter) = self.queue.pop_front_if(|waiter| waiter.deadline <= now) {
            effects.push(Effect::Reject { ticket: waiter.ticket, refusal: RejectReason::OutcomeUnknown });
        }
    }

    /// Tells everybody the same.
    pub fn reject_all(&mut self, refusal: &RejectReason, effects: &mut Vec<Effect>) {
        let reject = |waiter: Waiter| Effect::Reject { ticket: waiter.ticket, refusal: refusal.clone() };
        effects.extend(self.queue.drain(..).map(reject));
    }
}
