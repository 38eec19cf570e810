//! Clients that wait for a response, in the order in which the responses become final.
//!
//! Rejections wait too: "the record already exists" may be said only once the entry it refers to is
//! durable. Otherwise that entry might be lost, and the record never have existed.

#![deny(clippy::disallowed_methods)]

use std::collections::VecDeque;

use super::effect::{Effect, RejectReason, Written};
use super::input::{Moment, Ticket};

/// The queue of waiting clients.
#[derive(Debug, Default)]
pub struct Waiting {
    queue: VecDeque<Waiter>,
}

/// A waiting client.
#[derive(Debug)]
pub struct Waiter {
    /// The client's request.
    pub ticket: Ticket,
    /// The response is final once this entry is durable.
    pub after: u64,
    /// When the client stops waiting.
    pub deadline: Moment,
    /// The response.
    pub answer: Result<Written, RejectReason>,
}

impl Waiting {
    /// Adds a client. Neither `after` nor `deadline` may be less than that of the client before.
    pub fn push(&mut self, waiter: Waiter) {
        self.queue.push_back(waiter);
    }

    /// The number of waiting clients.
    pub fn count(&self) -> usize {
        self.queue.len()
    }

    /// Answers the clients whose responses have become final.
    pub fn answer(&mut self, durable: u64, effects: &mut Vec<Effect>) {
        while let Some(waiter) = self.queue.pop_front_if(|waiter| waiter.after <= durable) {
            effects.push(match waiter.answer {
                Ok(written) => Effect::Acknowledge { ticket: waiter.ticket, written },
                Err(refusal) => Effect::Reject { ticket: waiter.ticket, refusal },
            });
        }
    }

    /// Rejects the clients whose deadline has passed: the outcome is unknown.
    pub fn expire(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        while let Some(waiter) = self.queue.pop_front_if(|waiter| waiter.deadline <= now) {
            effects.push(Effect::Reject { ticket: waiter.ticket, refusal: RejectReason::OutcomeUnknown });
        }
    }

    /// Rejects all clients for the same reason.
    pub fn reject_all(&mut self, refusal: &RejectReason, effects: &mut Vec<Effect>) {
        let reject = |waiter: Waiter| Effect::Reject { ticket: waiter.ticket, refusal: refusal.clone() };
        effects.extend(self.queue.drain(..).map(reject));
    }
}
