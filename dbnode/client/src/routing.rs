//! Decides which node to ask next. Knows addresses and outcomes; no sockets, no clock.
//!
//! ```text
//! first try ──> reached? ──no──> the next node, until all were tried
//!                  │
//!                  ├─ 307 ───────> the primary it names, up to a limit
//!                  ├─ no primary ─> the next node; if none knows one, all of them again after a pause
//!                  └─ answer ────> done
//! ```
//!
//! Calls use the addresses that the client was given. An address that occurs only in a redirect
//! helps clients that were given too few nodes. It is tried last, because it may bypass whatever
//! proxy stands in front of the nodes.

#![deny(clippy::disallowed_methods)]

use std::net::SocketAddr;

/// Maximum number of redirects (307) that one call follows. During an election, nodes may point at
/// each other.
const REDIRECTS_MAX: u8 = 3;

/// The route of one call through the nodes.
#[derive(Debug)]
pub struct Route<'a> {
    nodes: &'a [SocketAddr],
    first: usize,
    tried: usize,
    redirects_left: u8,
    asked: Option<SocketAddr>,
    /// Nodes that did not answer this call; they are not asked again while there are others.
    silent: Vec<SocketAddr>,
    /// The primary's address from a redirect, if it is none of the given nodes.
    elsewhere: Option<SocketAddr>,
    /// Whether a node has reported that there is no primary; then waiting for one is worthwhile.
    election: Election,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Election {
    NotSeen,
    Seen,
}

/// The outcome of a try that brought no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// The node could not be reached, or its response was incomplete.
    Nobody,
    /// The node is not the primary, and names it.
    Redirect(SocketAddr),
    /// The node knows no primary: an election is in progress.
    NoPrimary,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask this node.
    Ask(SocketAddr),
    /// Ask this node after a pause, which gives the election time.
    Wait(SocketAddr),
    /// Give up; the last error is the outcome.
    GiveUp,
}

impl<'a> Route<'a> {
    /// A route that starts at this node, if it is one of the given ones.
    pub fn new(nodes: &'a [SocketAddr], first: Option<SocketAddr>) -> Self {
        let first = first.and_then(|first| nodes.iter().position(|node| *node == first));
        Self {
            nodes,
            first: first.unwrap_or(0),
            tried: 0,
            redirects_left: REDIRECTS_MAX,
            asked: None,
            silent: Vec::new(),
            elsewhere: None,
            election: Election::NotSeen,
        }
    }

    /// The node to try first; `None` if there are no nodes at all.
    pub fn first(&mut self) -> Option<SocketAddr> {
        self.asked = self.another_node();
        self.asked
    }

    /// Decides what to do after this outcome.
    pub fn after(&mut self, met: Met) -> Next {
        let next = match met {
            Met::Nobody => {
                self.silent.extend(self.asked);
                match self.election {
                    Election::NotSeen => self.another_way().map_or(Next::GiveUp, Next::Ask),
                    Election::Seen => self.another_round(),
                }
            }
            Met::NoPrimary => self.no_primary(),
            // Nodes that have not noticed its silence yet still refer to it.
            Met::Redirect(primary) if self.silent.contains(&primary) => self.no_primary(),
            Met::Redirect(primary) if self.nodes.contains(&primary) => self.redirected(primary),
            Met::Redirect(primary) => {
                self.elsewhere = Some(primary);
                self.another_way().map_or_else(|| self.no_primary(), Next::Ask)
            }
        };
        if let Next::Ask(node) | Next::Wait(node) = next {
            self.asked = Some(node);
        }
        next
    }

    fn redirected(&mut self, primary: SocketAddr) -> Next {
        match self.redirects_left.checked_sub(1) {
            Some(left) => {
                self.redirects_left = left;
                Next::Ask(primary)
            }
            None => {
                self.redirects_left = REDIRECTS_MAX;
                self.no_primary()
            }
        }
    }

    fn no_primary(&mut self) -> Next {
        self.election = Election::Seen;
        self.another_round()
    }

    /// The next node; once all were tried, all nodes again that are not silent.
    fn another_round(&mut self) -> Next {
        if let Some(node) = self.another_way() {
            return Next::Ask(node);
        }
        if self.nodes.iter().all(|node| self.silent.contains(node)) {
            self.silent.clear();
        }
        self.tried = 0;
        self.redirects_left = REDIRECTS_MAX;
        self.another_node().map_or(Next::GiveUp, Next::Wait)
    }

    fn another_way(&mut self) -> Option<SocketAddr> {
        if let Some(node) = self.another_node() {
            return Some(node);
        }
        let primary = self.elsewhere.take()?;
        self.redirects_left = self.redirects_left.checked_sub(1)?;
        Some(primary)
    }

    fn another_node(&mut self) -> Option<SocketAddr> {
        while self.tried < self.nodes.len() {
            let node = self.nodes[(self.first + self.tried) % self.nodes.len()];
            self.tried += 1;
            if !self.silent.contains(&node) {
                return Some(node);
            }
        }
        None
    }
}

/// Extracts host and port from a `Location`: `http://db-1:7001/kv/…`.
pub fn authority_in(location: &str) -> Option<&str> {
    let authority = location.strip_prefix("http://")?.split('/').next()?;
    let (host, port) = authority.rsplit_once(':')?;
    (!host.is_empty() && port.parse::<u16>().is_ok()).then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<SocketAddr> {
        ["10.0.0.1:7001", "10.0.0.2:7001", "10.0.0.3:7001"].map(|node| node.parse().unwrap()).to_vec()
    }

    #[test]
    fn every_node_is_tried_once_beginning_with_the_primary() {
        let nodes = nodes();
        let mut route = Route::new(&nodes, Some(nodes[1]));
        assert_eq!(route.first(), Some(nodes[1]));
        assert_eq!(route.after(Met::Nobody), Next::Ask(nodes[2]));
        assert_eq!(route.after(Met::Nobody), Next::Ask(nodes[0]));
        assert_eq!(route.after(Met::Nobody), Next::GiveUp);
    }

    #[test]
    fn nodes_that_point_at_each_other_are_followed_a_few_times_only() {
        let nodes = nodes();
        let mut route = Route::new(&nodes, None);
        route.first();
        for turn in 0..3 {
            let other = nodes[1 + turn % 2];
            assert_eq!(route.after(Met::Redirect(other)), Next::Ask(other));
        }
        assert_eq!(route.after(Met::Redirect(nodes[0])), Next::Ask(nodes[1]), "then the others are asked");
    }

    #[test]
    fn a_way_that_was_not_given_is_gone_last() {
        let nodes = nodes();
        let elsewhere = "10.9.9.9:7001".parse().unwrap();
        let mut route = Route::new(&nodes, None);
        route.first();
        assert_eq!(route.after(Met::Redirect(elsewhere)), Next::Ask(nodes[1]));
        assert_eq!(route.after(Met::Nobody), Next::Ask(nodes[2]));
        assert_eq!(route.after(Met::Redirect(elsewhere)), Next::Ask(elsewhere));
        let mut route = Route::new(&nodes[..1], None);
        route.first();
        assert_eq!(route.after(Met::Redirect(elsewhere)), Next::Ask(elsewhere));
        assert_eq!(route.after(Met::Nobody), Next::GiveUp);
    }

    #[test]
    fn one_that_was_silent_is_not_asked_again_because_others_still_speak_of_it() {
        let nodes = nodes();
        let mut route = Route::new(&nodes, Some(nodes[0]));
        route.first();
        assert_eq!(route.after(Met::Nobody), Next::Ask(nodes[1]));
        assert_eq!(route.after(Met::Redirect(nodes[0])), Next::Ask(nodes[2]));
        assert_eq!(route.after(Met::Redirect(nodes[0])), Next::Wait(nodes[1]));
        assert_eq!(route.after(Met::Redirect(nodes[2])), Next::Ask(nodes[2]), "the new one");
    }

    #[test]
    fn an_election_is_waited_for() {
        let nodes = nodes();
        let mut route = Route::new(&nodes, None);
        route.first();
        assert_eq!(route.after(Met::NoPrimary), Next::Ask(nodes[1]));
        assert_eq!(route.after(Met::Nobody), Next::Ask(nodes[2]));
        assert_eq!(route.after(Met::NoPrimary), Next::Wait(nodes[0]), "but not for the silent one");
        assert_eq!(route.after(Met::NoPrimary), Next::Ask(nodes[2]));
        assert_eq!(route.after(Met::Redirect(nodes[0])), Next::Ask(nodes[0]));
    }

    #[test]
    fn without_nodes_there_is_no_way() {
        assert_eq!(Route::new(&[], None).first(), None);
    }

    #[test]
    fn a_location_names_a_host_and_port_or_nothing() {
        assert_eq!(authority_in("http://10.0.0.1:7001/kv/a"), Some("10.0.0.1:7001"));
        assert_eq!(authority_in("http://db-1:7001/kv/a"), Some("db-1:7001"));
        for location in ["/kv/a", "https://10.0.0.1:7001/", "http://db-1/", "http://:7001/", ""] {
            assert_eq!(authority_in(location), None, "{location}");
        }
    }
}
