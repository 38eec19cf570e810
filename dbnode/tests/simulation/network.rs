//! The simulated network: the fate of each message is drawn from the seed.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The links between nodes, each in one direction.
#[derive(Debug)]
pub struct Network {
    links: Vec<Vec<Link>>,
    /// Whether messages keep their order, as on one connection.
    order: Order,
}

/// Whether messages on a link keep their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As on a connection: in order, and each once.
    Kept,
    /// Late messages are overtaken.
    Any,
}

/// The link from one node to another.
#[derive(Debug, Clone, Copy, Default)]
pub struct Link {
    /// True if nothing gets through.
    pub cut: bool,
    /// Additional latency of each message.
    pub delay: Duration,
    /// How many of 1000 messages are lost.
    pub loss: u32,
    /// How many of 1000 messages arrive twice.
    pub twice: u32,
    /// The arrival time of the last message.
    last: Duration,
}

impl Network {
    /// A network without faults.
    pub fn new(nodes: usize, order: Order) -> Self {
        Self { links: vec![vec![Link::default(); nodes]; nodes], order }
    }

    /// The link from one node to another.
    pub fn link(&mut self, from: usize, to: usize) -> &mut Link {
        &mut self.links[from][to]
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        for link in self.links.iter_mut().flatten() {
            *link = Link { last: link.last, ..Link::default() };
        }
    }

    /// The arrival times of a message sent now: none, one, or two.
    pub fn send(&mut self, now: Duration, from: usize, to: usize, dice: &mut ChaCha8Rng) -> Vec<Duration> {
        let link = &mut self.links[from][to];
        let lost = dice.random_range(0..1000) < link.loss;
        if link.cut || lost {
            return Vec::new();
        }
        let copies = if dice.random_range(0..1000) < link.twice { 2 } else { 1 };
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            let way = Duration::from_micros(dice.random_range(50..1_000));
            let extra = link.delay * dice.random_range(50..150) / 100;
            let mut at = now + way + extra;
            if self.order == Order::Kept {
                at = at.max(link.last);
            }
            link.last = link.last.max(at);
            arrivals.push(at);
        }
        arrivals
    }
}
