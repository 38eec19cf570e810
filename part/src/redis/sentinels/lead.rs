//! Decides what a node does, from the primary that the Sentinels name and the role that its Redis has. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::database::Refusal;

/// What one Sentinel reports about the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct View {
    /// The primary's *door*: the address by which all members know it (see `roads.rs`).
    pub(super) primary: SocketAddr,
    /// The configuration epoch: the number of the failover that made it the primary. A higher epoch is later.
    pub(super) epoch: u64,
    /// False while this Sentinel is itself promoting that primary. If it freezes in the middle of that, it goes on
    /// naming the same one.
    pub(super) settled: bool,
    /// False if this Sentinel considers the primary down or disconnected, or is failing it over.
    pub(super) calm: bool,
}

/// What a node reports to another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// The node's name.
    pub(super) name: String,
    /// The address by which all members know its Redis.
    pub(super) door: SocketAddr,
    /// The address for clients.
    pub(super) at: String,
    /// What its Sentinel knows. `None`: the Sentinel does not run yet, or does not answer.
    pub(super) view: Option<View>,
}

/// What a node knows about itself before its Redis runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    pub(super) door: SocketAddr,
    pub(super) is_first: bool,
    pub(super) has_data: bool,
    pub(super) members: usize,
}

/// The role in which a node starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// Undecided: too little is known.
    Wait,
    /// Primary of a new database.
    Found,
    /// Primary again, as before the restart.
    Lead,
    /// Replica of the primary at this address.
    Follow(SocketAddr),
}

/// The size of a majority of the members. It is also the Sentinels' `quorum` here.
pub(super) fn majority(members: usize) -> usize {
    members / 2 + 1
}

/// Decides how a node starts, from what its own Sentinel and the other nodes report. One report is enough to start as a
/// replica, which does no harm. Starting as the primary takes a majority. A primary that has lost its data waits until
/// another node is promoted, because its replicas would copy the empty database.
pub(super) fn beginning(own: &Own, view: Option<View>, told: &[Told]) -> Beginning {
    let views = || told.iter().map(|told| told.view).chain([view]);
    let Some(latest) = views().flatten().max_by_key(|view| (view.epoch, view.settled)) else {
        let are_enough = told.len() + 1 >= majority(own.members);
        return if own.is_first && are_enough { Beginning::Found } else { Beginning::Wait };
    };
    if latest.primary != own.door {
        return Beginning::Follow(latest.primary);
    }
    let agreed = views().flatten().filter(|view| (view.primary, view.epoch) == (own.door, latest.epoch));
    match own.has_data && agreed.count() >= majority(own.members) {
        true => Beginning::Lead,
        false => Beginning::Wait,
    }
}

/// Returns whether a primary that was away still is the primary: a majority says so, and no Sentinel disagrees.
pub(super) fn is_confirmed(own: &Own, view: Option<View>, told: &[Told]) -> bool {
    let views: Vec<_> = told.iter().filter_map(|told| told.view).chain(view).collect();
    views.len() >= majority(own.members) && views.iter().all(|view| view.primary == own.door && view.calm)
}

/// The replication role of this node's Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::redis) enum Role {
    Primary,
    Replica {
        /// The address it replicates from. `None`: Redis does not say.
        of: Option<SocketAddr>,
    },
}

impl Role {
    /// Parses the answer to `INFO replication`.
    pub(in crate::redis) fn of(said: &str) -> Self {
        let value = |name: &str| {
            said.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
        };
        if value("role") == Some("master") {
            return Self::Primary;
        }
        let host = value("master_host").and_then(|host| host.parse().ok());
        let port = value("master_port").and_then(|port| port.parse().ok());
        Self::Replica { of: host.zip(port).map(|(host, port)| SocketAddr::new(host, port)) }
    }
}

/// What the node does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Stay,
    /// It is the primary, and may go on acknowledging writes.
    Serve,
    /// It has been promoted, and begins its term.
    Begin,
    /// It may still be the primary: the other nodes are asked.
    Confirm,
    /// Redis becomes a replica of the primary at this address.
    Follow(SocketAddr),
}

/// What this node remembers about having been the primary.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// True if it has been the primary and its Redis has not become a replica since.
    led: bool,
    /// True while it acknowledges writes.
    serves: bool,
    /// True if it was stopped or frozen, so that another node may have been promoted meanwhile.
    was_away: bool,
}

impl Standing {
    /// The state just after Redis has started.
    pub(super) fn at_first(beginning: Beginning) -> Self {
        let led = matches!(beginning, Beginning::Found | Beginning::Lead);
        Self { led, serves: false, was_away: beginning == Beginning::Lead }
    }

    /// Records that this process was frozen for longer than it takes the Sentinels to declare it down.
    pub(super) fn has_been_away(&mut self) {
        (self.serves, self.was_away) = (false, true);
    }

    /// Records that this node is confirmed as the primary, and acknowledges from now on.
    pub(super) fn serves_now(&mut self) {
        *self = Self { led: true, serves: true, was_away: false };
    }

    /// Decides the next step, from what the Sentinels know and the role of this node's Redis.
    pub(super) fn next(&mut self, own: SocketAddr, view: View, role: Role) -> Step {
        if view.primary != own {
            (self.serves, self.was_away) = (false, false);
        }
        match role {
            Role::Primary if view.primary == own && self.serves => Step::Serve,
            Role::Primary if view.primary == own && self.was_away => Step::Confirm,
            Role::Primary if view.primary == own => Step::Begin,
            Role::Primary if self.led => Step::Follow(view.primary),
            // It is being promoted, and its own Sentinel does not know yet.
            Role::Primary => Step::Stay,
            Role::Replica { .. } if view.primary == own => {
                self.serves = false;
                Step::Stay
            }
            Role::Replica { of } => {
                self.led = false;
                if of == Some(view.primary) { Step::Stay } else { Step::Follow(view.primary) }
            }
        }
    }
}

/// What this node knows of the cluster. It decides whether a request may be answered here.
#[derive(Debug)]
pub(in crate::redis) struct Lead {
    pub(super) own: Own,
    /// How old the last confirmation by its own Sentinel may be while a primary acknowledges. A process that was frozen
    /// for longer than this may no longer be the primary.
    pub(super) away_after: Duration,
    /// The latest view of all that were reported.
    pub(super) view: Option<View>,
    /// The latest view of this node's own Sentinel.
    pub(super) of_own_sentinel: Option<View>,
    /// When this node was last confirmed as the primary.
    pub(super) good_at: Option<Instant>,
    /// The name and the client address of each member, by its door.
    pub(super) places: HashMap<SocketAddr, (String, String)>,
}

impl Lead {
    /// Records a Sentinel's view, unless a later one is known.
    pub(super) fn hear(&mut self, view: View) {
        if self.view.is_none_or(|known| (view.epoch, view.settled) >= (known.epoch, known.settled)) {
            self.view = Some(view);
        }
    }

    /// Records the name and the addresses that another node reported.
    pub(super) fn learn(&mut self, told: &Told) {
        self.places.insert(told.door, (told.name.clone(), told.at.clone()));
    }

    /// Returns whether the addresses of some members are unknown.
    pub(super) fn misses_some(&self) -> bool {
        self.places.len() < self.own.members
    }

    /// Returns `Ok` if this node may act as the primary, and the reason if it may not.
    pub(in crate::redis) fn check(&self, now: Instant) -> Result<(), Refusal> {
        let none = |why: &str| Err(Refusal::NoPrimary(why.to_owned()));
        match self.view {
            None => none("its Sentinel does not answer"),
            Some(view) if view.primary == self.own.door => match self.good_at {
                Some(good_at) if now.saturating_duration_since(good_at) < self.away_after => Ok(()),
                _ => none("this node may be the primary, and asks the others first"),
            },
            Some(view) => match self.places.get(&view.primary) {
                Some((name, at)) => Err(Refusal::NotPrimary { name: name.clone(), at: at.clone() }),
                None => none("its Sentinel names one that is not known here yet"),
            },
        }
    }

    /// The term: the epoch of the latest failover, counted from 1.
    pub(in crate::redis) fn term(&self) -> u64 {
        self.view.map_or(1, |view| view.epoch + 1)
    }

    /// The primary's name, if it is known.
    pub(in crate::redis) fn primary(&self) -> Option<String> {
        self.view.and_then(|view| self.places.get(&view.primary)).map(|(name, _)| name.clone())
    }

    /// Returns whether the latest view names this node as the primary.
    pub(in crate::redis) fn is_own(&self) -> bool {
        self.view.is_some_and(|view| view.primary == self.own.door)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test needs some moment to begin with")]

    use super::*;

    fn door(node: u8) -> SocketAddr {
        format!("127.0.0.{node}:7104").parse().unwrap()
    }

    fn view(node: u8, epoch: u64) -> View {
        View { primary: door(node), epoch, settled: true, calm: true }
    }

    fn told(node: u8, view: Option<View>) -> Told {
        Told { name: format!("db-{node}"), door: door(node), at: format!("127.0.0.{node}:7001"), view }
    }

    fn own() -> Own {
        Own { door: door(1), is_first: true, has_data: true, members: 3 }
    }

    #[test]
    fn a_database_is_founded_by_its_first_member_once_a_majority_knows_of_none() {
        let new = Own { has_data: false, ..own() };
        assert_eq!(beginning(&new, None, &[]), Beginning::Wait);
        assert_eq!(beginning(&new, None, &[told(2, None)]), Beginning::Found);
        assert_eq!(beginning(&Own { is_first: false, ..new }, None, &[told(2, None)]), Beginning::Wait);
    }

    #[test]
    fn who_comes_back_is_a_replica_of_the_primary_that_was_promoted_last() {
        let others = [told(2, Some(view(2, 4))), told(3, Some(view(3, 3)))];
        assert_eq!(beginning(&own(), Some(view(1, 2)), &others), Beginning::Follow(door(2)));
        assert_eq!(beginning(&own(), Some(view(2, 4)), &[]), Beginning::Follow(door(2)), "that does no harm");
    }

    #[test]
    fn who_was_the_primary_is_it_again_when_a_majority_says_so_and_it_is_not_empty() {
        let others = [told(2, Some(view(1, 2)))];
        assert_eq!(beginning(&own(), Some(view(1, 2)), &others), Beginning::Lead);
        assert_eq!(beginning(&own(), Some(view(1, 2)), &[]), Beginning::Wait);
        assert_eq!(beginning(&own(), None, &others), Beginning::Wait, "one voice is no majority");
        let empty = Own { has_data: false, ..own() };
        assert_eq!(beginning(&empty, Some(view(1, 2)), &others), Beginning::Wait);
    }

    #[test]
    fn who_was_away_acknowledges_when_a_majority_is_calm_and_nobody_objects() {
        let confirmed = |told: &[Told]| is_confirmed(&own(), Some(view(1, 2)), told);
        assert!(confirmed(&[told(2, Some(view(1, 2)))]) && !confirmed(&[]));
        let alarmed = told(2, Some(View { calm: false, ..view(1, 2) }));
        assert!(!confirmed(&[alarmed, told(3, Some(view(1, 2)))]));
        assert!(!confirmed(&[told(2, Some(view(2, 3))), told(3, Some(view(1, 2)))]));
    }

    #[test]
    fn who_is_promoted_serves_and_who_was_the_primary_follows() {
        let mut standing = Standing::at_first(Beginning::Follow(door(2)));
        let replica = Role::Replica { of: Some(door(2)) };
        assert_eq!(standing.next(door(1), view(2, 1), replica), Step::Stay);
        assert_eq!(standing.next(door(1), view(3, 2), replica), Step::Follow(door(3)));
        // Its Redis learns of the promotion before its Sentinel does.
        assert_eq!(standing.next(door(1), view(2, 1), Role::Primary), Step::Stay);
        assert_eq!(standing.next(door(1), view(1, 2), Role::Primary), Step::Begin);
        standing.serves_now();
        assert_eq!(standing.next(door(1), view(1, 2), Role::Primary), Step::Serve);
        assert_eq!(standing.next(door(1), view(2, 3), Role::Primary), Step::Follow(door(2)));
        assert_eq!(standing.next(door(1), view(2, 3), replica), Step::Stay);
    }

    #[test]
    fn who_was_away_asks_first() {
        let mut standing = Standing::at_first(Beginning::Lead);
        assert_eq!(standing.next(door(1), view(1, 2), Role::Primary), Step::Confirm);
        standing.serves_now();
        standing.has_been_away();
        assert_eq!(standing.next(door(1), view(1, 2), Role::Primary), Step::Confirm);
        assert_eq!(standing.next(door(1), view(2, 3), Role::Primary), Step::Follow(door(2)));
    }

    #[test]
    fn redis_says_what_it_is() {
        assert_eq!(Role::of("# Replication\r\nrole:master\r\n"), Role::Primary);
        let said = "role:slave\r\nmaster_host:127.0.0.2\r\nmaster_port:7104\r\n";
        assert_eq!(Role::of(said), Role::Replica { of: Some(door(2)) });
    }

    fn lead(view: Option<View>, good_at: Option<Instant>) -> Lead {
        let places = [(door(2), ("db-2".to_owned(), "127.0.0.2:7001".to_owned()))].into();
        let away_after = Duration::from_secs(1);
        Lead { own: own(), away_after, view, of_own_sentinel: view, good_at, places }
    }

    #[test]
    fn a_request_is_answered_by_the_latest_view_and_by_nobody_who_stood_still() {
        let now = Instant::now();
        let elsewhere = Refusal::NotPrimary { name: "db-2".into(), at: "127.0.0.2:7001".into() };
        assert_eq!(lead(Some(view(2, 1)), None).check(now), Err(elsewhere));
        let good = lead(Some(view(1, 1)), Some(now));
        assert_eq!(good.check(now), Ok(()));
        assert!(good.check(now + Duration::from_secs(2)).is_err());
        assert!(lead(None, Some(now)).check(now).is_err());
    }

    #[test]
    fn an_earlier_view_does_not_undo_a_later_one() {
        let mut lead = lead(Some(view(2, 3)), None);
        lead.hear(view(1, 2));
        assert_eq!((lead.view, lead.term(), lead.primary()), (Some(view(2, 3)), 4, Some("db-2".into())));
        lead.hear(View { settled: false, ..view(1, 3) });
        assert!(!lead.is_own(), "it was promoting this node when it was frozen");
        lead.hear(view(1, 4));
        assert!(lead.is_own());
    }
}
