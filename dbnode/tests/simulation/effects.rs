//! The simulation's counterpart of the driver: carries out the effects of a core, and serves
//! clients.

use std::time::Duration;

use dbnode::replication::durability::Mode;
use dbnode::replication::effect::{Effect, Halt, Written};
use dbnode::replication::input::{Input, Ticket};
use dbnode::replication::reads::Path;
use history::{Answer, Operation};

use crate::clients::{Attempt, Reply, write};
use crate::disk::Job;
use crate::invariants::nothing_is_lost::value;
use crate::invariants::{STOPS, acknowledged_is_durable, violated};
use crate::world::{Event, World};

impl World {
    /// Carries out an effect of a node's core.
    pub fn carry_out(&mut self, node: usize, effect: Effect) {
        // Effects that follow a crash or a halt are dropped.
        if self.nodes[node].core.is_none() {
            return;
        }
        self.trace.note(self.now, format_args!("{}   does {effect:?}", self.names[node]));
        match effect {
            Effect::Persist(batch) => self.work(node, Job::Persist(batch)),
            Effect::Compact(entries) => self.work(node, Job::Compact(entries)),
            Effect::Install(installation) => self.work(node, Job::Install(installation)),
            Effect::ReadSnapshot { peer, from, bytes_max } => {
                self.work(node, Job::Read(peer, from, bytes_max));
            }
            Effect::Send { to, envelope } => {
                if let Some(to) = self.names.iter().position(|name| *name == to) {
                    self.send(node, to, envelope);
                }
            }
            Effect::Acknowledge { ticket, written } => self.acknowledge(node, ticket, &written),
            Effect::Reject { ticket, refusal } => self.reply(node, ticket, Reply::Refused(refusal)),
            Effect::ReadReady { ticket } => self.look(node, ticket),
            Effect::Tell(_) => {}
            Effect::Halt(why) => self.halt(node, &why),
        }
    }

    /// A node stops for good. A failed disk may cause this; a message from another node must not.
    fn halt(&mut self, node: usize, why: &Halt) {
        if *why != Halt::DiskFailed {
            self.check(|_| violated(STOPS, why.to_string()));
        }
        self.crash(node);
    }

    fn work(&mut self, node: usize, job: Job) {
        let life = self.nodes[node].life;
        let is_persist = matches!(job, Job::Persist(_));
        let (number, takes) = self.nodes[node].disk.begin(job, &mut self.dice);
        self.after(takes, Event::DiskDone { node, life, number });
        if is_persist && self.nodes[node].disk.hasty {
            self.after(Duration::from_micros(1), Event::Hear { node, life, input: Input::Persisted });
        }
    }

    /// A disk has completed a job.
    pub fn disk_done(&mut self, node: usize, life: u64, number: u64) {
        let added = self.nodes[node].disk.entries_added(number);
        let input = self.nodes[node].disk.finish(number);
        self.check(|world| world.log_matching.see(node, world.nodes[node].disk.stored(), added));
        if let Some(input) = input {
            self.hear(node, life, input);
        }
    }

    fn acknowledge(&mut self, node: usize, ticket: Ticket, written: &Written) {
        // A member that came back without its data does not have what it had.
        if self.forgetful.is_empty() || self.plan.mode == Mode::Async {
            let mode = self.plan.mode;
            self.check(|world| acknowledged_is_durable::check(mode, &world.nodes, node, written));
        }
        let version = Some(written.version.0);
        let answer = match written.sum {
            Some(value) => Answer::Sum { value, version },
            None => Answer::Done { version },
        };
        self.reply(node, ticket, Reply::Done(answer));
    }

    /// A client's read is performed.
    fn look(&mut self, node: usize, ticket: Ticket) {
        let (_, key) = &self.nodes[node].tickets[&ticket.0];
        let state = self.nodes[node].core.as_ref().expect("it just said so").state();
        let version = state.get(key).map(|record| record.version.0);
        let answer = match value(state, key) {
            Some(value) => Answer::Found { value, version },
            None => Answer::Absent,
        };
        self.reply(node, ticket, Reply::Done(answer));
    }

    fn reply(&mut self, node: usize, ticket: Ticket, reply: Reply) {
        let (attempt, _) = self.nodes[node].tickets.remove(&ticket.0).expect("each ticket is answered once");
        let way = self.client_way();
        self.after(way, Event::Answer { attempt, node, reply });
    }

    /// A client's request arrives.
    pub fn ask(&mut self, attempt: Attempt, node: usize, operation: Box<Operation>) {
        let asked = &self.nodes[node];
        if asked.core.is_none() {
            let way = self.client_way();
            return self.after(way, Event::Answer { attempt, node, reply: Reply::NobodyThere });
        }
        if asked.paused_until > self.now {
            let until = asked.paused_until - self.now;
            return self.after(until, Event::Ask { attempt, node, operation });
        }
        let life = asked.life;
        let ticket = self.nodes[node].ticket(attempt, &operation.key);
        let input = match write(&operation) {
            Some(write) => Input::ClientWrites { ticket, write },
            // Reads at once where a real node does: see `Node::read_latest`.
            None if self.reads_at_once(node) => return self.look(node, ticket),
            None => Input::ClientReads { ticket },
        };
        self.hear(node, life, input);
    }

    fn reads_at_once(&self, node: usize) -> bool {
        self.nodes[node].core.as_ref().is_some_and(|core| core.read_path() == Path::Look)
    }
}
