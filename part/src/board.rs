//! What is known of the upstreams, and what has happened to them. Pure: whoever drives the program tells it what
//! was seen, and when.

use serde::Serialize;

/// Events that are kept; older ones are forgotten.
const KEPT: usize = 1000;

/// How an upstream is, by the contract's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Health {
    /// It takes requests.
    Up,
    /// Its checks, or its requests, fail.
    Down,
    /// It finishes what it has.
    Draining,
    /// It was added, and has not been seen well.
    Unknown,
}

/// One upstream.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Upstream {
    /// Its name.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) address: String,
    /// How it is.
    pub(crate) state: Health,
    /// Requests in flight.
    pub(crate) in_flight: u64,
    /// Requests it was sent.
    pub(crate) requests: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Event {
    seq: u64,
    unix_ms: u64,
    name: String,
    event: &'static str,
    reason: String,
}

/// What a look at the program showed of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How it is.
    pub(crate) state: Health,
    /// In the program's own words.
    pub(crate) words: String,
    /// Requests in flight.
    pub(crate) in_flight: u64,
    /// Requests it was sent.
    pub(crate) requests: u64,
}

/// The upstreams, and the events.
#[derive(Debug, Default)]
pub(crate) struct Board {
    upstreams: Vec<Upstream>,
    events: Vec<Event>,
    seq: u64,
}

impl Board {
    /// One that was given at the start: it counts as up until it is seen otherwise.
    pub(crate) fn begin(&mut self, name: &str, address: &str) {
        self.upstreams.push(upstream(name, address, Health::Up));
    }

    /// One that joins.
    pub(crate) fn add(&mut self, name: &str, address: &str, unix_ms: u64) {
        self.upstreams.push(upstream(name, address, Health::Unknown));
        self.tell(name, "added", "by the admin interface".into(), unix_ms);
    }

    /// One that is about to leave.
    pub(crate) fn drain(&mut self, name: &str, unix_ms: u64) {
        if let Some(upstream) = self.upstreams.iter_mut().find(|upstream| upstream.name == name) {
            upstream.state = Health::Draining;
            self.tell(name, "draining", "by the admin interface".into(), unix_ms);
        }
    }

    /// One that has left.
    pub(crate) fn remove(&mut self, name: &str, unix_ms: u64) {
        self.upstreams.retain(|upstream| upstream.name != name);
        self.tell(name, "removed", "by the admin interface".into(), unix_ms);
    }

    /// One that was seen. What changed is an event.
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

    /// All upstreams.
    pub(crate) fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// One upstream.
    pub(crate) fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name == name)
    }

    /// What happened after the event of this number.
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
