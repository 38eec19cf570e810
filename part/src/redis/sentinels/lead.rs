//! Who is the primary, as far as the Sentinels know, and what follows for this node. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::database::Refusal;

/// What a Sentinel knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct View {
    /// The door of the primary.
    pub(super) primary: SocketAddr,
    /// The failover that made it the primary. Of two views the one with the higher number is the later.
    pub(super) epoch: u64,
    /// The Sentinel is not itself putting it there: one that stands still in the midst of that goes on naming it.
    pub(super) settled: bool,
    /// It answers this Sentinel, and nobody is being put into its place.
    pub(super) calm: bool,
}

/// What a node tells another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// What it is called.
    pub(super) name: String,
    /// Where every member finds its Redis.
    pub(super) door: SocketAddr,
    /// Where clients reach it.
    pub(super) at: String,
    /// What its Sentinel knows. `None`: it has none yet.
    pub(super) view: Option<View>,
}

/// What a node knows of itself before its Redis runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    pub(super) door: SocketAddr,
    pub(super) is_first: bool,
    pub(super) has_data: bool,
    pub(super) members: usize,
}

/// As what a node begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// Too little is known.
    Wait,
    /// As the primary of a new database.
    Found,
    /// As the primary that it was.
    Lead,
    /// As a replica of this one.
    Follow(SocketAddr),
}

/// A majority of so many, which is what Sentinels call a quorum here.
pub(super) fn majority(members: usize) -> usize {
    members / 2 + 1
}

/// As what a node begins, by what its own Sentinel knows and what others have told. A replica does no harm, so for that
/// one voice is enough. A primary takes a majority; and one that has come back empty waits until another is promoted,
/// for its replicas would copy the emptiness.
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

/// Whether a primary that was away still is the primary: a majority says so, and nobody anything else.
pub(super) fn is_confirmed(own: &Own, view: Option<View>, told: &[Told]) -> bool {
    let views: Vec<_> = told.iter().filter_map(|told| told.view).chain(view).collect();
    views.len() >= majority(own.members) && views.iter().all(|view| view.primary == own.door && view.calm)
}

/// What the Redis of this node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::redis) enum Role {
    Primary,
    Replica {
        /// Of which door. `None`: it does not say.
        of: Option<SocketAddr>,
    },
}

impl Role {
    /// By what Redis says about its replication.
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

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Stay,
    /// It is the primary, and may acknowledge.
    Serve,
    /// It has been promoted.
    Begin,
    /// It may be the primary still: others are asked.
    Confirm,
    /// Redis becomes a replica of this one.
    Follow(SocketAddr),
}

/// How this node stands to being the primary.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// It has been the primary, and its Redis has not become a replica since.
    led: bool,
    /// It acknowledges.
    serves: bool,
    /// It was away, so that somebody else may have been promoted meanwhile.
    was_away: bool,
}

impl Standing {
    /// When Redis has been started.
    pub(super) fn at_first(beginning: Beginning) -> Self {
        let led = matches!(beginning, Beginning::Found | Beginning::Lead);
        Self { led, serves: false, was_away: beginning == Beginning::Lead }
    }

    /// This process stood still for longer than it takes until the Sentinels miss it.
    pub(super) fn has_been_away(&mut self) {
        (self.serves, self.was_away) = (false, true);
    }

    /// It is the primary indeed.
    pub(super) fn serves_now(&mut self) {
        *self = Self { led: true, serves: true, was_away: false };
    }

    /// What follows of what the Sentinels know and what Redis is.
    pub(super) fn next(&mut self, own: SocketAddr, view: View, role: Role) -> Step {
        if view.primary != own {
            (self.serves, self.was_away) = (false, false);
        }
        match role {
            Role::Primary if view.primary == own && self.serves => Step::Serve,
            Role::Primary if view.primary == own && self.was_away => Step::Confirm,
            Role::Primary if view.primary == own => Step::Begin,
            Role::Primary if self.led => Step::Follow(view.primary),
            // It is being promoted, and its Sentinel is yet to hear of it.
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

/// What the requests of a node are answered by.
#[derive(Debug)]
pub(in crate::redis) struct Lead {
    pub(super) own: Own,
    /// How long nothing may have been heard of its own Sentinel by a primary that acknowledges.
    pub(super) away_after: Duration,
    /// The latest of what is known.
    pub(super) view: Option<View>,
    /// What this node's own Sentinel knows.
    pub(super) of_own_sentinel: Option<View>,
    /// Since when it is known to be the primary.
    pub(super) good_at: Option<Instant>,
    /// The members by their doors: what they are called, and where clients reach them.
    pub(super) places: HashMap<SocketAddr, (String, String)>,
}

impl Lead {
    /// Takes in what a Sentinel knows.
    pub(super) fn hear(&mut self, view: View) {
        if self.view.is_none_or(|known| (view.epoch, view.settled) >= (known.epoch, known.settled)) {
            self.view = Some(view);
        }
    }

    /// Takes in what another node has told.
    pub(super) fn learn(&mut self, told: &Told) {
        self.places.insert(told.door, (told.name.clone(), told.at.clone()));
    }

    /// Whether there are members of which it is not known where they are.
    pub(super) fn misses_some(&self) -> bool {
        self.places.len() < self.own.members
    }

    /// Whether this node may act as the primary.
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

    /// The number of the failover, from 1.
    pub(in crate::redis) fn term(&self) -> u64 {
        self.view.map_or(1, |view| view.epoch + 1)
    }

    /// What the primary is called.
    pub(in crate::redis) fn primary(&self) -> Option<String> {
        self.view.and_then(|view| self.places.get(&view.primary)).map(|(name, _)| name.clone())
    }

    /// Whether its Sentinel says that it is this node.
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
        // Its Redis is told first.
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
