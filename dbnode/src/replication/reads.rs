//! Reads of the latest: a reader may look when it is sure that nobody else was the primary at
//! some moment after it asked (the Raft paper's section 8, "read index").
//!
//! ```text
//! primary   reader ──> queued ──> a round of heartbeats ──> a majority answered: look
//! replica   reader ──> queued ──> "up to where?" ──> "up to here" ──> applied so far: look
//! ```
//!
//! Readers that come while a round is under way share the next one. On a short way that is the answer to this round;
//! on a long one the next round begins before it, so that nobody waits for two journeys.

#![deny(clippy::disallowed_methods)]

use std::collections::VecDeque;
use std::time::Duration;

use super::Core;
use super::durability::Mode;
use super::effect::{Effect, RejectReason};
use super::input::{Moment, Ticket};
use super::member::Name;
use super::message::Message;
use super::role::RoleState;

/// A round of heartbeats, or a question to the primary, that takes longer than this is not waited for before the
/// next one begins.
const ROUND_INTERVAL: Duration = Duration::from_millis(10);

/// A client that waits, and till when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader {
    ticket: Ticket,
    deadline: Moment,
}

/// Who wants to know what the latest is.
#[derive(Debug)]
pub(super) enum Asker {
    /// A client of this node's.
    Client(Reader),
    /// Another node, for its clients.
    Peer {
        /// The node that asks.
        name: Name,
        /// Its number for the question.
        number: u64,
    },
}

/// Those who wait at a primary.
#[derive(Debug, Default)]
pub(super) struct PrimaryReads {
    /// For the next round.
    queued: Vec<Asker>,
    /// For the rounds under way, the oldest first.
    confirming: VecDeque<Round>,
}

/// A round of heartbeats that readers wait for.
#[derive(Debug)]
struct Round {
    number: u64,
    began: Moment,
    /// What will have to be shown: the log's index.
    index: u64,
    askers: Vec<Asker>,
}

/// Those who wait at a replica.
#[derive(Debug, Default)]
pub(super) struct ReplicaReads {
    /// For the next question.
    queued: Vec<Reader>,
    /// For the answers to these, the oldest first.
    asked: VecDeque<Question>,
    /// For entries to be shown.
    behind: Vec<(u64, Reader)>,
}

/// A question to the primary that readers wait for.
#[derive(Debug)]
struct Question {
    number: u64,
    asked: Moment,
    readers: Vec<Reader>,
}

/// How a client gets to read the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// It may look now.
    Look,
    /// It has to ask when it may: see [`Input::ClientReads`](super::input::Input::ClientReads).
    Ask,
}

impl Core {
    /// How a client that comes now gets to read the latest: only where nobody else could be the
    /// primary is nobody asked.
    pub fn read_path(&self) -> Path {
        if self.names.len() == 1 && self.is_settled() { Path::Look } else { Path::Ask }
    }

    /// A client wants to read the latest.
    pub(super) fn take_reader(&mut self, now: Moment, ticket: Ticket, effects: &mut Vec<Effect>) {
        let reader = Reader { ticket, deadline: now + self.limits.patience };
        match &mut self.role_state {
            RoleState::Primary(lead) => lead.reads.queued.push(Asker::Client(reader)),
            RoleState::Replica(following) if following.primary.is_some() => {
                following.reads.queued.push(reader);
            }
            RoleState::Stopped => effects.push(Effect::Reject { ticket, refusal: RejectReason::Stopped }),
            _ => effects.push(Effect::Reject { ticket, refusal: RejectReason::NotConfirmed }),
        }
    }

    /// Another node asks on behalf of its clients.
    pub(super) fn on_read_index_request(&mut self, name: Name, number: u64) {
        if let RoleState::Primary(lead) = &mut self.role_state {
            lead.reads.queued.push(Asker::Peer { name, number });
        }
    }

    /// The primary answers a question.
    pub(super) fn on_read_index_response(&mut self, number: u64, index: u64) {
        let RoleState::Replica(following) = &mut self.role_state else { return };
        let reads = &mut following.reads;
        let Some(at) = reads.asked.iter().position(|question| question.number == number) else { return };
        // What is the latest for this question is so for those that were asked before it.
        let readers = reads.asked.drain(..=at).flat_map(|question| question.readers);
        reads.behind.extend(readers.map(|reader| (index, reader)));
    }

    /// Readers move on as far as they can.
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

    /// The readers that wait get a round of heartbeats, when none has just begun. A primary knows
    /// what is committed once an entry of its own is.
    fn begin_reads(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let index = self.shown_index();
        let RoleState::Primary(lead) = &mut self.role_state else { return };
        let settled = self.committed >= lead.began;
        let newest = lead.reads.confirming.back();
        let just_began = newest.is_some_and(|round| now.since(round.began) < ROUND_INTERVAL);
        if lead.reads.queued.is_empty() || just_began || !settled {
            return;
        }
        let askers = std::mem::take(&mut lead.reads.queued);
        lead.reads.confirming.push_back(Round { number: lead.round + 1, began: now, index, askers });
        self.begin_round(now, effects);
    }

    /// The readers whose round a majority answered may look.
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

    /// The oldest round that readers wait for.
    fn oldest_round(&self) -> Option<u64> {
        self.lead()?.reads.confirming.front().map(|round| round.number)
    }

    fn serve_replica_readers(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let shown = self.shown_index();
        let patience = self.timing.heartbeat() * 2;
        let fresh_number = self.draw_number();
        let last = self.log.last();
        let shows_uncommitted = self.mode == Mode::Async;
        let RoleState::Replica(following) = &mut self.role_state else { return };
        // What is shown beyond the state may be what a primary of the past has written alone.
        let shown = if shows_uncommitted && following.verified < last { 0 } else { shown };
        let reads = &mut following.reads;
        // A question without an answer is asked again, by all who wait.
        while let Some(lost) = reads.asked.pop_front_if(|question| now.since(question.asked) > patience) {
            reads.queued.splice(0..0, lost.readers);
        }
        let mut question = None;
        let just_asked = reads.asked.back().is_some_and(|newest| now.since(newest.asked) < ROUND_INTERVAL);
        if !just_asked && !reads.queued.is_empty() {
            let readers = std::mem::take(&mut reads.queued);
            reads.asked.push_back(Question { number: fresh_number, asked: now, readers });
            question = following.primary.clone();
        }
        for (_, reader) in following.reads.behind.extract_if(.., |(index, _)| *index <= shown) {
            effects.push(Effect::ReadReady { ticket: reader.ticket });
        }
        if let Some(primary) = question {
            self.send(&primary, Message::ReadIndexRequest { number: fresh_number }, effects);
        }
    }

    /// Tells those who have waited long enough.
    pub(super) fn expire_readers(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.reject_readers(|reader| reader.deadline <= now, effects);
    }

    /// Tells all that wait: this node is not what it was any more.
    pub(super) fn send_readers_away(&mut self, effects: &mut Vec<Effect>) {
        self.reject_readers(|_| true, effects);
    }

    fn reject_readers(&mut self, which: impl Fn(&Reader) -> bool, effects: &mut Vec<Effect>) {
        let mut away = Vec::new();
        match &mut self.role_state {
            RoleState::Primary(lead) => {
                let confirming = lead.reads.confirming.iter_mut().map(|round| &mut round.askers);
                for askers in confirming.chain([&mut lead.reads.queued]) {
                    let clients = askers.extract_if(.., |asker| match asker {
                        Asker::Client(reader) => which(reader),
                        Asker::Peer { .. } => false,
                    });
                    away.extend(clients.filter_map(|asker| match asker {
                        Asker::Client(reader) => Some(reader),
                        Asker::Peer { .. } => None,
                    }));
                }
            }
            RoleState::Replica(following) => {
                let reads = &mut following.reads;
                away.extend(reads.queued.extract_if(.., |reader| which(reader)));
                let asked = reads
                    .asked
                    .iter_mut()
                    .flat_map(|question| question.readers.extract_if(.., |reader| which(reader)));
                away.extend(asked);
                let behind = reads.behind.extract_if(.., |(_, reader)| which(reader));
                away.extend(behind.map(|(_, reader)| reader));
            }
            _ => {}
        }
        let reject = |Reader { ticket, .. }| Effect::Reject { ticket, refusal: RejectReason::NotConfirmed };
        effects.extend(away.into_iter().map(reject));
    }
}
