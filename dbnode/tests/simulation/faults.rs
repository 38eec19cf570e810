//! What goes wrong, and how it is put right.

use std::time::Duration;

use rand::RngExt;

use crate::clients::Reply;
use crate::clock::Clock;
use crate::node::{Ambush, incarnation};
use crate::plan::{Fault, Target};
use crate::world::{Event, World};

impl World {
    /// Something goes wrong, or right again.
    pub fn go_wrong(&mut self, fault: Fault) {
        self.trace.note(self.now, format_args!("FAULT {fault:?}"));
        match fault {
            Fault::Crash(target) => self.to(target, Self::crash),
            Fault::CrashAll => (0..self.nodes.len()).for_each(|node| self.crash(node)),
            Fault::StartAll => self.start_all(),
            Fault::Wipe(node) => self.wipe(node),
            Fault::Isolate(target) => self.to(target, |world, node| {
                world.cut(|from, to| from == node || to == node);
            }),
            Fault::Mute(target) => self.to(target, |world, node| world.cut(|from, _| from == node)),
            Fault::Deafen(target) => self.to(target, |world, node| world.cut(|_, to| to == node)),
            Fault::Cut(from, to) => self.network.link(from, to).cut = true,
            Fault::Split(set) => {
                let side = |node: usize| set >> node & 1;
                self.cut(|from, to| side(from) != side(to));
            }
            Fault::MendAll => self.network.heal(),
            Fault::Delay(target, ms) => self.to(target, |world, node| {
                for to in 0..world.nodes.len() {
                    world.network.link(node, to).delay = Duration::from_millis(ms);
                }
            }),
            Fault::Unreliable(loss, twice) => {
                for (from, to) in self.pairs() {
                    let link = self.network.link(from, to);
                    (link.loss, link.twice) = (loss, twice);
                }
            }
            Fault::Pause(target, ms) => self.to(target, |world, node| {
                world.nodes[node].paused_until = world.now + Duration::from_millis(ms);
            }),
            Fault::Clock(node, percent) => self.nodes[node].clock.run_at(self.now, percent),
            Fault::SlowDisk(target, ms) => {
                self.to(target, |world, node| world.nodes[node].disk.slow = Duration::from_millis(ms));
            }
            Fault::BadDisk(target, fault) => {
                self.to(target, |world, node| world.nodes[node].disk.fault = Some(fault));
            }
            Fault::GoodDisks => self.good_disks(),
            Fault::Ambush(ms) => {
                self.ambush_until = self.now + Duration::from_millis(ms);
                self.to(Target::Primary, Self::crash);
                self.after(Duration::from_millis(ms), Event::Fault(Fault::MendAll));
                for (from, to) in self.pairs() {
                    let link = self.network.link(from, to);
                    link.delay = Duration::from_millis(self.dice.random_range(0..80));
                    link.loss = self.dice.random_range(0..100);
                }
            }
            Fault::HandOver(target) => self.to(target, |world, node| {
                let life = world.nodes[node].life;
                world.hear(node, life, dbnode::replication::input::Input::HandOver);
            }),
        }
    }

    /// Everything is put right.
    pub fn heal(&mut self) {
        self.trace.note(self.now, format_args!("HEALED"));
        self.network.heal();
        self.good_disks();
        self.ambush_until = self.now;
        for node in 0..self.nodes.len() {
            self.nodes[node].clock.run_at(self.now, 100);
            self.nodes[node].ambush = None;
        }
        self.start_all();
    }

    fn to(&mut self, target: Target, what: impl FnOnce(&mut Self, usize)) {
        let node = match target {
            Target::Node(node) => Some(node),
            Target::Primary => self.primary(),
        };
        if let Some(node) = node {
            what(self, node);
        }
    }

    fn pairs(&self) -> Vec<(usize, usize)> {
        let nodes = 0..self.nodes.len();
        nodes.clone().flat_map(|from| nodes.clone().map(move |to| (from, to))).collect()
    }

    fn cut(&mut self, which: impl Fn(usize, usize) -> bool) {
        for (from, to) in self.pairs() {
            self.network.link(from, to).cut |= which(from, to);
        }
    }

    fn good_disks(&mut self) {
        for node in &mut self.nodes {
            node.disk.slow = Duration::ZERO;
            node.disk.fault = None;
        }
    }

    fn start_all(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].core.is_none() {
                self.start(node);
            }
        }
    }

    /// A node is gone, and what its disk had not confirmed may be.
    pub fn crash(&mut self, node: usize) {
        if self.nodes[node].core.take().is_none() {
            return;
        }
        self.trace.note(self.now, format_args!("{} is gone", self.names[node]));
        self.nodes[node].life += 1;
        self.nodes[node].ambush = None;
        if self.dice.random() {
            self.nodes[node].silenced_before = self.nodes[node].life;
        }
        self.nodes[node].paused_until = self.now;
        self.nodes[node].disk.crash(&mut self.dice);
        for (_, (attempt, _)) in std::mem::take(&mut self.nodes[node].tickets) {
            let way = self.client_way();
            self.after(way, Event::Answer { attempt, node, reply: Reply::Reset });
        }
        self.lose_ways(node);
    }

    /// A node became the primary.
    pub fn new_primary(&mut self, node: usize, applied: u64) {
        if self.now >= self.ambush_until {
            return;
        }
        // Two that leave something which nobody else has, and one that spreads it.
        self.ambushed += 1;
        self.nodes[node].ambush = Some(match self.ambushed % 3 {
            0 => Ambush::FirstApplied { after: applied },
            _ => Ambush::FirstPersisted,
        });
        let back = Duration::from_millis(self.dice.random_range(300..800));
        self.after(back, Event::Fault(Fault::StartAll));
    }

    /// A node has heard of something; is this the moment to go?
    pub fn spring(&mut self, node: usize, was_persisted: bool, applied: u64) {
        let now = match self.nodes[node].ambush {
            Some(Ambush::FirstPersisted) => was_persisted,
            Some(Ambush::FirstApplied { after }) => applied > after,
            None => false,
        };
        if now {
            self.crash(node);
            self.nodes[node].silenced_before = self.nodes[node].life;
        }
    }

    /// A node starts from what is on its disk.
    pub fn start(&mut self, node: usize) {
        let own = Duration::from_millis(self.dice.random_range(0..5_000));
        self.nodes[node].clock = Clock::set(self.now, own);
        let found = self.nodes[node].disk.recover();
        self.trace.note(self.now, format_args!("{} starts from {found:?}", self.names[node]));
        let seed = self.dice.random();
        let core = crate::node::core(self, node, found, seed);
        self.nodes[node].core = Some(core);
        let life = self.nodes[node].life;
        self.after(Duration::from_millis(1), Event::Tick { node, life });
        self.open_ways(node);
    }

    /// A node loses its data and comes back as new. Only one ever does: two that forget what they
    /// promised are more than three nodes can bear.
    fn wipe(&mut self, node: usize) {
        if !self.wiped.is_empty() {
            return;
        }
        self.wiped.insert(node);
        self.crash(node);
        self.nodes[node].disk.erase();
        self.nodes[node].incarnation = incarnation(node, 1);
        self.start(node);
    }
}
