//! The state of Caddy's servers: health checks report through events in its log, requests and failures through its
//! admin API. Pure.

use std::collections::HashSet;

use serde::Deserialize;

use super::config::EVENTS;
use crate::board::{Health, Seen};

/// The state of the servers, by address.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// The servers that checks have taken out.
    unhealthy: HashSet<String>,
    /// The number of failed requests that takes a server out; 0: never.
    fails_max: u64,
}

/// A line of the log.
#[derive(Deserialize)]
struct Line {
    logger: String,
    name: String,
    data: Option<About>,
}

/// The subject of an event.
#[derive(Deserialize)]
struct About {
    host: String,
}

/// A server in the admin API's answer.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Counted {
    pub(super) address: String,
    num_requests: u64,
    fails: u64,
}

impl Status {
    /// Takes servers out after this many failed requests; 0: never.
    pub(super) fn new(fails_max: u32) -> Self {
        Self { unhealthy: HashSet::new(), fails_max: fails_max.into() }
    }

    /// Parses a line of the log. Returns a server's state if the line reports one.
    pub(super) fn on_line(&mut self, line: &str) -> Option<(String, Seen)> {
        let line: Line = serde_json::from_str(line).ok()?;
        let host = line.data.filter(|_| line.logger == EVENTS)?.host;
        let state = match line.name.as_str() {
            "unhealthy" => Health::Down,
            "healthy" => Health::Up,
            _ => return None,
        };
        match state {
            Health::Down => self.unhealthy.insert(host.clone()),
            _ => self.unhealthy.remove(&host),
        };
        let words = format!("Caddy's check: {}", line.name);
        Some((host, Seen { state, words, in_flight: 0, requests: 0 }))
    }

    /// Resets the results of checks before a new configuration: Caddy then considers every server healthy until a check
    /// fails.
    pub(super) fn forget(&mut self) {
        self.unhealthy.clear();
    }

    /// Returns the state of a server from its counters and checks.
    pub(super) fn seen(&self, counted: &Counted) -> Seen {
        let Counted { address, num_requests, fails } = counted;
        let (state, words) = if self.unhealthy.contains(address) {
            (Health::Down, "Caddy's checks failed".to_owned())
        } else if self.fails_max > 0 && *fails >= self.fails_max {
            (Health::Down, format!("{fails} requests failed within ten seconds"))
        } else {
            (Health::Up, "Caddy sends it requests".to_owned())
        };
        Seen { state, words, in_flight: *num_requests, requests: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(fails: u64) -> Counted {
        Counted { address: "127.0.0.1:1".into(), num_requests: 2, fails }
    }

    fn event(name: &str) -> String {
        format!(r#"{{"logger":"events","msg":"event","name":"{name}","data":{{"host":"127.0.0.1:1"}}}}"#)
    }

    #[test]
    fn a_server_is_out_from_one_event_to_the_other() {
        let mut status = Status::new(0);
        assert_eq!(status.seen(&counted(9)).state, Health::Up);
        let (host, seen) = status.on_line(&event("unhealthy")).unwrap();
        assert_eq!((host.as_str(), seen.state), ("127.0.0.1:1", Health::Down));
        assert_eq!(status.seen(&counted(0)).state, Health::Down);
        assert_eq!(status.on_line(&event("healthy")).unwrap().1.state, Health::Up);
        assert_eq!((status.seen(&counted(0)).state, status.seen(&counted(0)).in_flight), (Health::Up, 2));
    }

    #[test]
    fn failed_requests_take_it_out_as_well() {
        let status = Status::new(3);
        assert_eq!(status.seen(&counted(2)).state, Health::Up);
        assert_eq!(status.seen(&counted(3)).state, Health::Down);
    }

    #[test]
    fn a_new_configuration_begins_with_servers_that_are_well() {
        let mut status = Status::new(0);
        status.on_line(&event("unhealthy"));
        status.forget();
        assert_eq!(status.seen(&counted(0)).state, Health::Up);
    }

    #[test]
    fn other_lines_say_nothing() {
        let mut status = Status::new(0);
        let started = r#"{"logger":"events","msg":"event","name":"started","data":null}"#;
        for line in ["", "text", "{}", started, &event("cert_obtained")] {
            assert_eq!(status.on_line(line), None, "{line}");
        }
    }
}
