//! Connections between nodes: each node opens its own to every other, and notices sooner or later
//! when one is lost.

use std::sync::Arc;
use std::time::Duration;

use dbnode::replication::input::Input;
use dbnode::replication::message::Envelope;
use rand::RngExt;

use crate::network::Order;
use crate::world::{Event, World};

/// The connections from each node to each other node.
#[derive(Debug)]
pub struct Ways(Vec<Vec<Way>>);

/// A connection from one node to another.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    /// Incremented with each new connection.
    number: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Closed,
    Open,
    /// A message was lost on it, and so is everything after that, but its owner has not noticed
    /// yet.
    Broken,
}

impl Ways {
    /// No connection is open.
    pub fn new(nodes: usize) -> Self {
        Self(vec![vec![Way::default(); nodes]; nodes])
    }
}

impl World {
    /// A node tries to connect to another.
    pub fn dial(&mut self, from: usize, life: u64, to: usize) {
        let caller = &self.nodes[from];
        if caller.life != life || caller.core.is_none() || self.ways.0[from][to].state != State::Closed {
            return;
        }
        // Inputs for a paused node are handled a moment after the pause. That includes the loss of
        // a connection, which must come before a new connection.
        let awake = |node: usize| {
            let paused_until = self.nodes[node].paused_until;
            paused_until.is_zero() || paused_until + Duration::from_micros(1) < self.now
        };
        let passes = !self.network.link(from, to).cut && !self.network.link(to, from).cut;
        let hello = self.nodes[to].hello();
        let (true, true, true, Some(hello)) = (awake(from), awake(to), passes, hello) else {
            let pause = Duration::from_millis(self.dice.random_range(20..150));
            return self.after(pause, Event::Dial { from, life, to });
        };
        let number = self.ways.0[from][to].number + 1;
        self.ways.0[from][to] = Way { number, state: State::Open };
        self.hear(from, life, Input::Connected { peer: self.names[to].clone(), hello });
    }

    /// A node sends a message.
    pub fn send(&mut self, from: usize, to: usize, envelope: Envelope) {
        if self.ways.0[from][to].state != State::Open {
            return;
        }
        let arrivals = self.network.send(self.now, from, to, &mut self.dice);
        if arrivals.is_empty() && self.plan.order == Order::Kept {
            self.break_way(from, to, 20..1_500);
        }
        let (life, sent_in) = (self.nodes[to].life, self.nodes[from].life);
        let Some(sender) = self.nodes[from].core.as_ref().map(|core| Arc::clone(core.life())) else { return };
        for at in arrivals {
            let (sender, envelope) = (Arc::clone(&sender), envelope.clone());
            self.after(at - self.now, Event::Arrive { from, sent_in, sender, to, life, envelope });
        }
    }

    /// Breaks a connection; its owner notices after some milliseconds.
    fn break_way(&mut self, from: usize, to: usize, notices_ms: std::ops::Range<u64>) {
        let way = &mut self.ways.0[from][to];
        if way.state == State::Open {
            way.state = State::Broken;
            let number = way.number;
            let notices = Duration::from_millis(self.dice.random_range(notices_ms));
            self.after(notices, Event::WayLost { from, to, number });
        }
    }

    /// A node notices that a connection is lost.
    pub fn way_lost(&mut self, from: usize, to: usize, number: u64) {
        if self.ways.0[from][to].number != number || self.ways.0[from][to].state == State::Closed {
            return;
        }
        self.ways.0[from][to].state = State::Closed;
        let life = self.nodes[from].life;
        self.hear(from, life, Input::Disconnected { peer: self.names[to].clone() });
        self.after(Duration::from_millis(1), Event::Dial { from, life, to });
    }

    /// Closes the connections of a node that crashed, and breaks those to it.
    pub fn lose_ways(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            self.ways.0[node][other].state = State::Closed;
            self.break_way(other, node, 1..20);
        }
    }

    /// Opens the connections of a node that starts.
    pub fn open_ways(&mut self, node: usize) {
        let life = self.nodes[node].life;
        for to in (0..self.nodes.len()).filter(|to| *to != node) {
            let pause = Duration::from_micros(self.dice.random_range(100..5_000));
            self.after(pause, Event::Dial { from: node, life, to });
        }
    }
}
