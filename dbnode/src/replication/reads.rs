//! Reads of the latest: a reader may look when it is sure that nobody else was the primary at
//! some moment after it asked (the Raft paper's section 8, "read index").
//!
//! ```text
//! primary   reader ──> queued ──> a round of heartbeats ──> a majority answered: look
//! replica   reader ──> queued ──> "up to where?" ──> "up to here" ──> applied so far: look
//! ```
//!
//! Readers that come while a round is under way share the next one.

#![deny(clippy::disallowed_methods)]

use super::Core;
use super::durability::Mode;
use super::effect::{Effect, RejectReason};
use super::input::{Moment, Ticket};
use super::member::Name;
use super::message::Message;
use super::planted::Bug;
use super::role::RoleState;

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
        /// Which.
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
    /// For the round under way: which one, what will have to be shown, and who waits.
    confirming: Option<(u64, u64, Vec<Asker>)>,
}

/// Those who wait at a replica.
#[derive(Debug, Default)]
pub(super) struct ReplicaReads {
    /// For the next question.
    queued: Vec<Reader>,
    /// For the answer to this one: its number, when it was asked, and who waits.
    asked: Option<(u64, Moment, Vec<Reader>)>,
    /// For entries to be shown.
    behind: Vec<(u64, Reader)>,
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
        let alone = self.names.len() == 1 || self.planted.has(Bug::ReadsAlone);
        if alone && self.is_settled() { Path::Look } else { Path::Ask }
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
        if let Some((_, _, readers)) = reads.asked.take_if(|(asked, _, _)| *asked == number) {
            reads.behind.extend(readers.into_iter().map(|reader| (index, reader)));
        }
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

    /// The readers that wait get a round of heartbeats, when none is under way. A primary knows
    /// what is committed once an entry of its own is.
    fn begin_reads(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let shown = self.shown_index();
        let RoleState::Primary(lead) = &mut self.role_state else { return };
        let settled = self.committed >= lead.began || self.planted.has(Bug::ReadsUnsettled);
        if lead.reads.queued.is_empty() || lead.reads.confirming.is_some() || !settled {
            return;
        }
        let askers = std::mem::take(&mut lead.reads.queued);
        lead.reads.confirming = Some((lead.round + 1, shown, askers));
        self.begin_round(now, effects);
    }

    /// The readers whose round a majority answered may look.
    fn confirm_reads(&mut self, effects: &mut Vec<Effect>) {
        let Some((round, index)) = self
            .lead()
            .and_then(|lead| lead.reads.confirming.as_ref().map(|(round, index, _)| (*round, *index)))
        else {
            return;
        };
        if !self.round_confirmed(round) && !self.planted.has(Bug::NoReadIndex) {
            return;
        }
        let RoleState::Primary(lead) = &mut self.role_state else { return };
        let (_, _, askers) = lead.reads.confirming.take().expect("it was just looked at");
        for asker in askers {
            match asker {
                Asker::Client(reader) => effects.push(Effect::ReadReady { ticket: reader.ticket }),
                Asker::Peer { name, number } => {
                    self.send(&name, Message::ReadIndexResponse { number, index }, effects);
                }
            }
        }
    }

    fn serve_replica_readers(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let shown = self.shown_index();
        let patience = self.timing.heartbeat() * 2;
        let fresh_number = self.draw_number();
        let blind = self.planted.has(Bug::NoReadIndex);
        let last = self.log.last();
        let shows_uncommitted = self.mode == Mode::Async;
        let RoleState::Replica(following) = &mut self.role_state else { return };
        // What is shown beyond the state may be what a primary of the past has written alone.
        let shown = if shows_uncommitted && following.verified < last { 0 } else { shown };
        let reads = &mut following.reads;
        if blind {
            reads.behind.extend(reads.queued.drain(..).map(|reader| (0, reader)));
        }
        // A question without an answer is asked again, by all who wait.
        if let Some((_, _, readers)) = reads.asked.take_if(|(_, asked, _)| now.since(*asked) > patience) {
            reads.queued.splice(0..0, readers);
        }
        let mut question = None;
        if reads.asked.is_none() && !reads.queued.is_empty() {
            reads.asked = Some((fresh_number, now, std::mem::take(&mut reads.queued)));
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
                let confirming = lead.reads.confirming.iter_mut().map(|(_, _, askers)| askers);
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
                if let Some((_, _, readers)) = &mut reads.asked {
                    away.extend(readers.extract_if(.., |reader| which(reader)));
                }
                let behind = reads.behind.extract_if(.., |(_, reader)| which(reader));
                away.extend(behind.map(|(_, reader)| reader));
            }
            _ => {}
        }
        let reject = |Reader { ticket, .. }| Effect::Reject { ticket, refusal: RejectReason::NotConfirmed };
        effects.extend(away.into_iter().map(reject));
    }
}
