//! Injects and repairs faults.

use std::time::Duration;

use dbnode::replication::Core;
use dbnode::replication::role::Role;
use rand::RngExt;
use rand::seq::IndexedRandom;

use crate::clients::Reply;
use crate::clock::Clock;
use crate::disk;
use crate::node::{Ambush, incarnation};
use crate::plan::{Fault, Target};
use crate::world::{Event, World};

impl World {
    /// Injects or ends a fault.
    pub fn go_wrong(&mut self, fault: Fault) {
        self.trace.note(self.now, format_args!("FAULT {fault:?}"));
        match fault {
            Fault::Crash(target) => self.to(target, Self::crash),
            Fault::CrashAll => (0..self.nodes.len()).for_each(|node| self.crash(node)),
            Fault::StartAll => self.start_all(),
            Fault::Wipe(target) => self.to(target, Self::wipe),
            Fault::Copy(node) => self.copy(node),
            Fault::MoveAway(node) => self.move_away(node),
            Fault::PutBack(node) => self.put_back(node),
            Fault::LoseTail(node, count) => self.lose_tail(node, count),
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
                let until = world.now + Duration::from_millis(ms);
                world.nodes[node].paused_until = world.nodes[node].paused_until.max(until);
            }),
            Fault::Clock(node, percent) => self.nodes[node].clock.run_at(self.now, percent),
            Fault::SlowDisk(target, ms) => {
                self.to(target, |world, node| world.nodes[node].disk.slow = Duration::from_millis(ms));
            }
            Fault::BadDisk(target, fault) => {
                self.to(target, |world, node| world.nodes[node].disk.fault = Some(fault));
            }
            Fault::FullForGood(target) => self.to(target, |world, node| {
                world.nodes[node].disk.fault = Some(disk::Fault::Full);
                world.nodes[node].stays_full = true;
            }),
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

    /// Repairs everything.
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
            Target::Replica => {
                let roles = self.nodes.iter().map(|node| node.core.as_ref().map(Core::role));
                let replicas: Vec<_> =
                    (0..).zip(roles).filter(|(_, role)| *role == Some(Role::Replica)).collect();
                replicas.choose(&mut self.dice).map(|(node, _)| *node)
            }
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
            node.disk.fault = if node.stays_full { Some(disk::Fault::Full) } else { None };
        }
    }

    /// Frees all disks, including those that were to stay full.
    pub fn make_room(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.stays_full = false);
        self.good_disks();
    }

    fn start_all(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].core.is_none() {
                self.start(node);
            }
        }
    }

    /// Crashes a node; what its disk had not confirmed may be lost.
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
        // Two of three ambushes leave an entry that no other node has; the third spreads one.
        self.ambushed += 1;
        self.nodes[node].ambush = Some(match self.ambushed % 3 {
            0 => Ambush::FirstApplied { after: applied },
            _ => Ambush::FirstPersisted,
        });
        let back = Duration::from_millis(self.dice.random_range(300..800));
        self.after(back, Event::Fault(Fault::StartAll));
    }

    /// Crashes an ambushed node if the moment has come.
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

    /// Starts a node from its disk.
    pub fn start(&mut self, node: usize) {
        let own = Duration::from_millis(self.dice.random_range(0..5_000));
        self.nodes[node].clock = Clock::set(self.now, own);
        let found = self.nodes[node].disk.recover(&mut self.dice);
        self.trace.note(self.now, format_args!("{} starts from {found:?}", self.names[node]));
        let seed = self.dice.random();
        let core = crate::node::core(self, node, found, seed);
        self.nodes[node].core = Some(core);
        let life = self.nodes[node].life;
        self.after(Duration::from_millis(1), Event::Tick { node, life });
        self.open_ways(node);
    }

    /// A node loses its data and comes back as new; skipped while a node that forgot something
    /// earlier has not recovered everything, because three nodes cannot tolerate two that forget
    /// their promises.
    fn wipe(&mut self, node: usize) {
        if !self.all_remember() {
            return self.trace.note(self.now, format_args!("(not now)"));
        }
        self.crash(node);
        self.start_empty(node);
    }

    /// Starts a node that is down with an empty directory.
    fn start_empty(&mut self, node: usize) {
        let imported = self.imported();
        let wiped = &mut self.nodes[node];
        wiped.disk.erase(imported);
        wiped.incarnation = incarnation(node, wiped.directories);
        wiped.directories += 1;
        self.forgetful.insert(node);
        self.start(node);
    }

    /// Copies a node's directory while it runs, or while it is down; then starts the node.
    fn copy(&mut self, node: usize) {
        let while_it_runs: bool = self.dice.random();
        if !while_it_runs {
            self.crash(node);
        }
        let of = self.nodes[node].incarnation;
        self.nodes[node].disk.make_copy(of);
        self.crash(node);
        self.start(node);
    }

    /// Moves a node's directory away.
    fn move_away(&mut self, node: usize) {
        if !self.all_remember() {
            return self.trace.note(self.now, format_args!("(not now)"));
        }
        self.crash(node);
        let of = self.nodes[node].incarnation;
        self.nodes[node].disk.make_copy(of);
        self.start_empty(node);
    }

    /// Replaces a node's directory with its copy, if that can be detected: all other nodes know a
    /// start that the copy does not know, and have it on their disks.
    fn put_back(&mut self, node: usize) {
        let Some(copy) = self.nodes[node].disk.copy() else { return };
        let others = (0..self.nodes.len()).filter(|other| *other != node);
        let can_tell = |other: usize| match self.nodes[other].disk.acts(&self.names[node]) {
            (Some(incarnation), Some(start)) => {
                incarnation != copy.incarnation || !copy.starts.include(start)
            }
            _ => false,
        };
        if !self.all_remember() || !others.into_iter().all(can_tell) {
            return self.trace.note(self.now, format_args!("(not now)"));
        }
        self.crash(node);
        let of = self.nodes[node].disk.put_back().expect("there is a copy");
        self.nodes[node].incarnation = of;
        self.forgetful.insert(node);
        self.start(node);
    }

    /// Loses the last entries of a node's log, provided that all the other nodes have them.
    fn lose_tail(&mut self, node: usize, count: usize) {
        self.crash(node);
        let lost = self.nodes[node].disk.lose_tail(count);
        let has =
            |other: &crate::node::Node| lost.iter().all(|entry| other.disk.has(entry.term, entry.index));
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != node);
        let all_have = others.into_iter().all(|(_, other)| has(other));
        if all_have && self.all_remember() {
            self.forgetful.insert(node);
        } else {
            self.nodes[node].disk.find_again(lost);
        }
        self.start(node);
    }

    /// True if all nodes that ever forgot something have joined again, and have everything that is
    /// known to be committed on their disks.
    fn all_remember(&self) -> bool {
        let last = self.applied.last();
        self.forgetful.iter().all(|node| {
            let node = &self.nodes[*node];
            let joined = node.core.as_ref().is_some_and(|core| {
                let newest = core.life().starts.newest();
                let acts =
                    core.state().membership().is_some_and(|it| it.counts(&node.name, node.incarnation));
                acts && core.state().start(&node.name) == Some(newest)
            });
            joined && node.disk.has(last.term, last.index)
        })
    }

    /// The number of records that a new directory begins with.
    pub fn imported(&mut self) -> u64 {
        if self.plan.imports { self.dice.random_range(0..6) } else { 0 }
    }
}
