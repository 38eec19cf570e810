//! The state of the upstreams, and the log of their changes. Pure: the adapter reports what it observed, and when.

use lb::upstream::Address;
use serde::Serialize;

/// The number of events kept; older ones are dropped.
const KEPT: usize = 1000;

/// An upstream's state, by the contract's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Health {
    /// It gets requests.
    Up,
    /// Its checks or its requests fail.
    Down,
    /// It finishes its requests and gets no new ones.
    Draining,
    /// It was added, and has not been healthy yet.
    Unknown,
}

/// One upstream.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Upstream {
    /// Its name.
    pub(crate) name: String,
    /// Its address.
    pub(crate) address: String,
    /// Its state.
    pub(crate) state: Health,
    /// Requests in flight.
    pub(crate) in_flight: u64,
    /// Requests sent to it in total.
    pub(crate) requests: u64,
}

/// A change of an upstream's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Event {
    seq: u64,
    unix_ms: u64,
    name: String,
    event: &'static str,
    reason: String,
}

/// An upstream as observed in the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its state.
    pub(crate) state: Health,
    /// The reason, in the program's own words.
    pub(crate) words: String,
    /// Requests in flight.
    pub(crate) in_flight: u64,
    /// Requests sent to it in total.
    pub(crate) requests: u64,
}

/// The upstreams and their events.
#[derive(Debug, Default)]
pub(crate) struct Board {
    upstreams: Vec<Upstream>,
    events: Vec<Event>,
    seq: u64,
}

impl Board {
    /// The upstreams given at the start.
    pub(crate) fn of(upstreams: &[Address]) -> Self {
        let mut board = Self::default();
        upstreams.iter().for_each(|upstream| board.begin(&upstream.name, &upstream.address));
        board
    }

    /// Adds an upstream given at the start: it counts as up until it is observed otherwise.
    pub(crate) fn begin(&mut self, name: &str, address: &str) {
        self.upstreams.push(upstream(name, address, Health::Up));
    }

    /// Adds an upstream at runtime: it counts as unknown until it is observed.
    pub(crate) fn add(&mut self, name: &str, address: &str, unix_ms: u64) {
        self.upstreams.push(upstream(name, address, Health::Unknown));
        self.tell(name, "added", "by the admin interface".into(), unix_ms);
    }

    /// Marks an upstream as draining.
    pub(crate) fn drain(&mut self, name: &str, unix_ms: u64) {
        if let Some(upstream) = self.upstreams.iter_mut().find(|upstream| upstream.name == name) {
            upstream.state = Health::Draining;
            self.tell(name, "draining", "by the admin interface".into(), unix_ms);
        }
    }

    /// Removes an upstream.
    pub(crate) fn remove(&mut self, name: &str, unix_ms: u64) {
        self.upstreams.retain(|upstream| upstream.name != name);
        self.tell(name, "removed", "by the admin interface".into(), unix_ms);
    }

    /// Takes in an observation. A change between up and down becomes an event.
    pub(crate) fn see(&mut self, name: &str, seen: &Seen, unix_ms: u64) {
        let Some(upstream) = self.upstreams.iter_mut().find(|upstream| upstream.name == name) else { return };
        upstream.in_flight = seen.in_flight;
        upstream.requests = seen.requests;
        if upstream.state == Health::Draining || seen.state == Health::Unknown {
            return;
        }
        let before = std::mem::replace(&mut upstream.state, seen.state);
        match (before, seen.state) {
            (Health::Up, Health::Down) => self.tell(name, "ejected", seen.words.clone(), unix_ms),
            (Health::Down | Health::Unknown, Health::Up) => {
                self.tell(name, "admitted", seen.words.clone(), unix_ms);
            }
            _ => {}
        }
    }

    /// Returns all upstreams.
    pub(crate) fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// Finds an upstream by name.
    pub(crate) fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name == name)
    }

    /// Returns the events after this sequence number.
    pub(crate) fn events_after(&self, seq: u64) -> Vec<Event> {
        self.events.iter().filter(|event| event.seq > seq).cloned().collect()
    }

    fn tell(&mut self, name: &str, event: &'static str, reason: String, unix_ms: u64) {
        self.seq += 1;
        tracing::info!(name, event, reason);
        self.events.push(Event { seq: self.seq, unix_ms, name: name.to_owned(), event, reason });
        if self.events.len() > KEPT {
            self.events.remove(0);
        }
    }
}

fn upstream(name: &str, address: &str, state: Health) -> Upstream {
    Upstream { name: name.to_owned(), address: address.to_owned(), state, in_flight: 0, requests: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: Health) -> Seen {
        Seen { state, words: "L4CON".into(), in_flight: 0, requests: 0 }
    }

    fn told(board: &Board) -> Vec<(&str, u64)> {
        board.events.iter().map(|event| (event.event, event.unix_ms)).collect()
    }

    #[test]
    fn a_change_is_told_once_and_with_the_moment_it_was_seen() {
        let mut board = Board::default();
        board.begin("web-1", "127.0.0.1:1");
        for (at, state) in [Health::Up, Health::Down, Health::Down, Health::Up].into_iter().enumerate() {
            board.see("web-1", &seen(state), at as u64);
        }
        assert_eq!(told(&board), [("ejected", 1), ("admitted", 3)]);
        assert_eq!(board.events_after(1).len(), 1);
    }

    #[test]
    fn one_that_joins_is_taken_in_when_it_is_seen_well_and_one_that_leaves_is_not_ejected() {
        let mut board = Board::default();
        board.add("web-2", "127.0.0.1:2", 0);
        board.see("web-2", &seen(Health::Unknown), 1);
        board.see("web-2", &seen(Health::Up), 2);
        board.drain("web-2", 3);
        board.see("web-2", &seen(Health::Down), 4);
        board.remove("web-2", 5);
        assert_eq!(told(&board), [("added", 0), ("admitted", 2), ("draining", 3), ("removed", 5)]);
        assert!(board.upstream("web-2").is_none());
    }
}
