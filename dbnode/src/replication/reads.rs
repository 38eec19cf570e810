//! Linearizable reads (ReadIndex; the Raft paper's section 8, and section 6.4 of the thesis). A
//! client may read once it is certain that, at some moment after it asked, no other node was the
//! primary.
//!
//! ```text
//! primary   reader ──> queued ──> a heartbeat round ──> a majority answered: read
//! replica   reader ──> queued ──> ReadIndexRequest ──> ReadIndexResponse ──> applied up to it: read
//! ```
//!
//! Readers that arrive while a round is in flight share the next one. On a short link the next
//! round begins when this one is answered; on a long link it begins earlier, so that no reader
//! waits for two round trips.

#![deny(clippy::disallowed_methods)]

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;

use super::Core;
use super::durability::Mode;
use super::effect::{Effect, RejectReason};
use super::input::{Moment, Ticket};
use super::member::Name;
use super::message::Message;
use super::role::RoleState;

/// A heartbeat round or ReadIndex request that takes longer than this no longer delays the next
/// one.
const ROUND_INTERVAL: Duration = Duration::from_millis(10);

/// A waiting client and its deadline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    ticket: Ticket,
    deadline: Moment,
}

/// The origin of a linearizable read.
#[derive(Debug)]
pub(super) enum Asker {
    /// A client of this node.
    Client(Reader),
    /// Another node, on behalf of its clients.
    Peer {
        /// The node that asks.
        name: Name,
        /// Its number for the request.
        number: u64,
    },
}

/// The reads that wait at a primary.
#[derive(Debug, Default)]
pub(super) struct PrimaryReads {
    /// Reads that wait for the next round.
    queued: Vec<Asker>,
    /// The rounds in flight that reads wait for, oldest first.
    confirming: VecDeque<Round>,
}

/// A heartbeat round that reads wait for.
#[derive(Debug)]
struct Round {
    number: u64,
    began: Moment,
    /// The log index that has to be shown.
    index: u64,
    askers: Vec<Asker>,
}

/// The reads that wait at a replica.
#[derive(Debug, Default)]
pub(super) struct ReplicaReads {
    /// Reads that wait for the next ReadIndex request.
    queued: Vec<Reader>,
    /// The requests in flight, oldest first.
    asked: VecDeque<Question>,
    /// Reads that wait until this index is shown.
    behind: Vec<(u64, Reader)>,
}

/// A ReadIndex request that reads wait for.
#[derive(Debug)]
struct Question {
    number: u64,
    asked: Moment,
    readers: Vec<Reader>,
}

/// How a client performs a linearizable read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// It may read now.
    Look,
    /// It has to wait for confirmation: see
    /// [`Input::ClientReads`](super::input::Input::ClientReads).
    Ask,
}

impl Core {
    /// How a client that arrives now performs a linearizable read. Only where no other node could
    /// be the primary is no confirmation needed.
    pub fn read_path(&self) -> Path {
        if self.setup.is_alone() && self.is_settled() { Path::Look } else { Path::Ask }
    }

    /// Queues a client's linearizable read.
    pub(super) fn on_client_read(&mut self, now: Moment, ticket: Ticket, effects: &mut Vec<Effect>) {
        let reader = Reader { ticket, deadline: now + self.setup.limits.patience };
        match &mut self.role_state {
            RoleState::Primary(lead) => lead.reads.queued.push(Asker::Client(reader)),
            RoleState::Replica(following) if following.primary.is_some() => {
                following.reads.queued.push(reader);
            }
            RoleState::Stopped => effects.push(Effect::Reject { ticket, refusal: RejectReason::Stopped }),
            _ => effects.push(Effect::Reject { ticket, refusal: RejectReason::NotConfirmed }),
        }
    }

    /// Queues a ReadIndex request of another node.
    pub(super) fn on_read_index_request(&mut self, name: Name, number: u64) {
        if let RoleState::Primary(lead) = &mut self.role_state {
            lead.reads.queued.push(Asker::Peer { name, number });
        }
    }

    /// Handles the primary's answer to a ReadIndex request.
    pub(super) fn on_read_index_response(&mut self, number: u64, index: u64) {
        let RoleState::Replica(following) = &mut self.role_state else { return };
        following.reads.answered(number, index);
    }

    /// Advances the waiting reads as far as possible.
    pub(super) fn serve_readers(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match &self.role_state {
            RoleState::Primary(_) => {
                self.confirm_reads(effects);
                self.begin_reads(now, effects);
                self.confirm_reads(effects);
            }
            RoleState::Replica(_) => self.serve_replica_readers(now, effects),
            _ => {}
        }
    }

    /// Starts a heartbeat round for the queued reads, unless one has just begun. A primary knows
    /// the commit index only once an entry of its own term is committed.
    fn begin_reads(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let index = self.shown_index();
        let RoleState::Primary(lead) = &mut self.role_state else { return };
        let settled = self.log.committed() >= lead.began;
        let newest = lead.reads.confirming.back();
        let just_began = newest.is_some_and(|round| now.since(round.began) < ROUND_INTERVAL);
        if lead.reads.queued.is_empty() || just_began || !settled {
            return;
        }
        let askers = std::mem::take(&mut lead.reads.queued);
        lead.reads.confirming.push_back(Round { number: lead.round + 1, began: now, index, askers });
        self.begin_round(now, effects);
    }

    /// Releases the reads whose round was answered by a majority.
    fn confirm_reads(&mut self, effects: &mut Vec<Effect>) {
        while let Some(round) = self.oldest_round() {
            if !self.round_confirmed(round) {
                return;
            }
            let RoleState::Primary(lead) = &mut self.role_state else { return };
            let Some(Round { index, askers, .. }) = lead.reads.confirming.pop_front() else { return };
            for asker in askers {
                match asker {
                    Asker::Client(reader) => effects.push(Effect::ReadReady { ticket: reader.ticket }),
                    Asker::Peer { name, number } => {
                        self.send(&name, Message::ReadIndexResponse { number, index }, effects);
                    }
                }
            }
        }
    }

    /// The oldest round that reads wait for.
    fn oldest_round(&self) -> Option<u64> {
        self.lead()?.reads.confirming.front().map(|round| round.number)
    }

    fn serve_replica_readers(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let shown = self.shown_index();
        let patience = self.setup.timing.heartbeat() * 2;
        let fresh_number = self.rng.random();
        let RoleState::Replica(following) = &mut self.role_state else { return };
        // The uncommitted part of what is shown may have been written only by a primary of an
        // earlier term.
        let may_be_lost = self.setup.mode == Mode::Async && following.verified < self.log.last();
        let shown = if may_be_lost { 0 } else { shown };
        following.reads.requeue_lost(now, patience);
        let asks = following.reads.ask(now, fresh_number);
        let ready = following.reads.ready(shown);
        effects.extend(ready.into_iter().map(|reader| Effect::ReadReady { ticket: reader.ticket }));
        if asks && let Some(primary) = following.primary.clone() {
            self.send(&primary, Message::ReadIndexRequest { number: fresh_number }, effects);
        }
    }

    /// Rejects the reads whose deadline has passed.
    pub(super) fn expire_readers(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.reject_readers(|reader| reader.deadline <= now, effects);
    }

    /// Rejects all waiting reads, because this node's role has changed.
    pub(super) fn send_readers_away(&mut self, effects: &mut Vec<Effect>) {
        self.reject_readers(|_| true, effects);
    }

    fn reject_readers(&mut self, which: impl Fn(&Reader) -> bool, effects: &mut Vec<Effect>) {
        let away = match &mut self.role_state {
            RoleState::Primary(lead) => lead.reads.remove(which),
            RoleState::Replica(following) => following.reads.remove(which),
            _ => Vec::new(),
        };
        let reject = |Reader { ticket, .. }| Effect::Reject { ticket, refusal: RejectReason::NotConfirmed };
        effects.extend(away.into_iter().map(reject));
    }
}

impl PrimaryReads {
    /// Removes clients from all queues.
    fn remove(&mut self, which: impl Fn(&Reader) -> bool) -> Vec<Reader> {
        let mut removed = Vec::new();
        let confirming = self.confirming.iter_mut().map(|round| &mut round.askers);
        for askers in confirming.chain([&mut self.queued]) {
            let clients = askers.extract_if(.., |asker| match asker {
                Asker::Client(reader) => which(reader),
                Asker::Peer { .. } => false,
            });
            removed.extend(clients.filter_map(|asker| match asker {
                Asker::Client(reader) => Some(reader),
                Asker::Peer { .. } => None,
            }));
        }
        removed
    }
}

impl ReplicaReads {
    /// Records the primary's answer to a request. It is also good for the requests sent before.
    fn answered(&mut self, number: u64, index: u64) {
        let Some(at) = self.asked.iter().position(|question| question.number == number) else { return };
        let readers = self.asked.drain(..=at).flat_map(|question| question.readers);
        self.behind.extend(readers.map(|reader| (index, reader)));
    }

    /// Queues the readers again whose request has had no answer for this long.
    fn requeue_lost(&mut self, now: Moment, patience: Duration) {
        while let Some(lost) = self.asked.pop_front_if(|question| now.since(question.asked) > patience) {
            self.queued.splice(0..0, lost.readers);
        }
    }

    /// Moves the queued readers to a request with this number, unless one was sent just now;
    /// returns true if it has to be sent.
    fn ask(&mut self, now: Moment, number: u64) -> bool {
        let just_asked = self.asked.back().is_some_and(|newest| now.since(newest.asked) < ROUND_INTERVAL);
        let asks = !just_asked && !self.queued.is_empty();
        if asks {
            let readers = std::mem::take(&mut self.queued);
            self.asked.push_back(Question { number, asked: now, readers });
        }
        asks
    }

    /// Removes the readers whose index is shown.
    fn ready(&mut self, shown: u64) -> Vec<Reader> {
        let ready = self.behind.extract_if(.., |(index, _)| *index <= shown);
        ready.map(|(_, reader)| reader).collect()
    }

    /// Removes clients from all queues.
    fn remove(&mut self, which: impl Fn(&Reader) -> bool) -> Vec<Reader> {
        let mut removed: Vec<_> = self.queued.extract_if(.., |reader| which(reader)).collect();
        for question in &mut self.asked {
            removed.extend(question.readers.extract_if(.., |reader| which(reader)));
        }
        let behind = self.behind.extract_if(.., |(_, reader)| which(reader));
        removed.extend(behind.map(|(_, reader)| reader));
        removed
    }
}
