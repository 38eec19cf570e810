//! Three nodes, and the messages between them: nothing moves unless a command says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use dbnode::replication::disk::{Batch, Recovered};
use dbnode::replication::durability::Mode;
use dbnode::replication::effect::Effect;
use dbnode::replication::input::{Hello, Input, Moment, Ticket};
use dbnode::replication::life::Starts;
use dbnode::replication::member::{Incarnation, Name};
use dbnode::replication::message::Envelope;
use dbnode::replication::role::Role;
use dbnode::replication::{Core, Limits, Setup, Timing};
use uuid::Uuid;

use crate::words;

pub const NAMES: [&str; 3] = ["db-1", "db-2", "db-3"];

/// Three nodes and their network.
pub struct World {
    pub now: Duration,
    pub mode: Mode,
    pub nodes: BTreeMap<&'static str, Node>,
    /// Messages in transit: from, to, content.
    pub letters: VecDeque<(&'static str, &'static str, Envelope)>,
    /// Nodes whose links are cut.
    pub cut: BTreeSet<&'static str>,
    /// Nodes whose disks are full.
    pub full: BTreeSet<&'static str>,
    /// True if starts are counted: a node knows how many times its directory was started from.
    pub counts_starts: bool,
    pub clients: BTreeMap<Ticket, String>,
    lines: Vec<String>,
    quiet: bool,
}

/// One of the nodes.
#[derive(Default)]
pub struct Node {
    pub core: Option<Core>,
    pub disk: Recovered,
    pub starts: Starts,
    /// A copy of its directory.
    pub copy: Option<(Recovered, Starts)>,
    /// What its disk is writing.
    pub writing: Option<Batch>,
    role: Option<Role>,
}

impl World {
    pub fn new() -> Self {
        Self {
            now: Duration::from_secs(1),
            mode: Mode::Quorum,
            nodes: NAMES.into_iter().map(|name| (name, Node::default())).collect(),
            letters: VecDeque::new(),
            cut: BTreeSet::new(),
            full: BTreeSet::new(),
            counts_starts: false,
            clients: BTreeMap::new(),
            lines: Vec::new(),
            quiet: false,
        }
    }

    /// Adds a line, unless it was just said: heartbeats repeat themselves.
    pub fn say(&mut self, line: String) {
        if !self.quiet && !self.lines.contains(&line) {
            self.lines.push(line);
        }
    }

    pub fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// Does something without adding lines.
    pub fn quietly(&mut self, what: impl FnOnce(&mut Self)) {
        self.quiet = true;
        what(self);
        self.quiet = false;
    }

    /// Starts a node from its disk, and connects it with all running nodes.
    pub fn start(&mut self, name: &'static str) {
        let id = self.now.as_millis() as u64;
        let node = self.nodes.get_mut(name).expect("there are three");
        if self.counts_starts {
            node.starts.push(id);
        }
        let setup = Setup {
            name: name.into(),
            incarnation: incarnation(name),
            starts: node.starts.clone(),
            members: NAMES.map(Name::from).to_vec(),
            mode: self.mode,
            limits: Limits::default(),
            timing: Timing::default(),
            seed: u64::from(name.as_bytes()[3]),
        };
        node.core = Some(Core::new(setup, node.disk.clone(), Moment(self.now)));
        for other in NAMES.into_iter().filter(|other| *other != name) {
            if self.nodes[other].core.is_some() {
                self.connect(name, other);
                self.connect(other, name);
            }
        }
    }

    fn connect(&mut self, from: &'static str, to: &'static str) {
        let Some(core) = &self.nodes[to].core else { return };
        let cluster = core.membership().map(|it| it.cluster);
        let hello = Hello { life: Arc::clone(core.life()), cluster };
        self.hear(from, Input::Connected { peer: to.into(), hello });
    }

    /// Crashes a node; what its disk had not finished is lost.
    pub fn crash(&mut self, name: &'static str) {
        let node = self.nodes.get_mut(name).expect("there are three");
        (node.core, node.writing, node.role) = (None, None, None);
        self.letters.retain(|(from, to, _)| *from != name && *to != name);
        for other in NAMES.into_iter().filter(|other| *other != name) {
            self.hear(other, Input::Disconnected { peer: name.into() });
        }
    }

    /// Gives a node an input, and carries out what follows.
    pub fn hear(&mut self, name: &'static str, input: Input) {
        let now = Moment(self.now);
        let Some(core) = self.nodes.get_mut(name).expect("there are three").core.as_mut() else { return };
        let effects = core.step(now, input);
        let (role, term) = (core.role(), core.term());
        let before = self.nodes.get_mut(name).expect("there are three").role.replace(role);
        if before.is_some_and(|before| before != role) {
            self.say(words::role(name, role, term));
        }
        for effect in effects {
            self.carry_out(name, effect);
        }
    }

    fn carry_out(&mut self, name: &'static str, effect: Effect) {
        if let Some(line) = words::effect(name, &effect, &self.clients) {
            self.say(line);
        }
        match effect {
            Effect::Persist(batch) => {
                self.nodes.get_mut(name).expect("there are three").writing = Some(batch)
            }
            Effect::Send { to, envelope } => {
                let to = NAMES.into_iter().find(|other| **other == *to).expect("there are three");
                self.letters.push_back((name, to, envelope));
            }
            Effect::Halt(_) => self.crash(name),
            _ => {}
        }
    }

    /// A disk finishes what it is writing.
    pub fn finish(&mut self, name: &'static str) {
        let node = self.nodes.get_mut(name).expect("there are three");
        let Some(batch) = node.writing.take() else { return };
        if self.full.contains(name) {
            return self.hear(name, Input::DiskFull);
        }
        node.disk.store(batch);
        self.hear(name, Input::Persisted);
    }

    /// Delivers the next message, unless one of its ends is cut off.
    pub fn deliver_next(&mut self) -> bool {
        let Some((from, to, envelope)) = self.letters.pop_front() else { return false };
        if !self.cut.contains(from) && !self.cut.contains(to) {
            let Some(life) = self.nodes[from].core.as_ref().map(|core| Arc::clone(core.life())) else {
                return true;
            };
            self.hear(to, Input::Received { from: from.into(), life, envelope });
        }
        true
    }

    /// Delivers messages and finishes disks until nothing moves any more.
    pub fn settle(&mut self) {
        loop {
            let delivered = self.deliver_next();
            let busy = NAMES.into_iter().find(|name| self.nodes[name].writing.is_some());
            match busy {
                Some(name) => self.finish(name),
                None if !delivered => return,
                None => {}
            }
        }
    }

    /// Lets time pass, and what it leads to happen.
    pub fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.tick();
            self.settle();
        }
    }

    /// Lets time pass on slow links: nothing arrives.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.now += Duration::from_millis(20);
        NAMES.into_iter().for_each(|name| self.hear(name, Input::TimePassed));
    }

    /// Issues a ticket for a client.
    pub fn ticket(&mut self, client: &str) -> Ticket {
        let ticket = Ticket(self.clients.len() as u64 + 1);
        self.clients.insert(ticket, client.into());
        ticket
    }
}

fn incarnation(name: &str) -> Incarnation {
    Incarnation(Uuid::from_u128(u128::from(name.as_bytes()[3])))
}
