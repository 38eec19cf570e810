//! What a node reports about itself and the replicas.

#![deny(clippy::disallowed_methods)]

use serde::Serialize;

use super::Core;
use super::input::Moment;
use super::member::Name;
use super::role::Role;

/// The progress of one replica, as the primary knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replica {
    /// The replica's name.
    pub id: Name,
    /// The last log entry on its disk.
    pub acked_index: u64,
    /// How long it has been behind, in milliseconds; 0 if it is up to date.
    pub lag_ms: u64,
    /// True if it was heard from within an election timeout.
    pub up: bool,
    /// True if a log entry records this start of it, so that an older copy of its directory is recognised.
    pub joined: bool,
    /// True if its disk is full.
    pub no_room: bool,
}

impl Core {
    /// The progress of each replica; empty unless this node is the primary.
    pub fn replicas(&self, now: Moment) -> Vec<Replica> {
        let last = self.log.last();
        let progress = self.lead().into_iter().flat_map(|lead| &lead.progress);
        let replica = progress.map(|(name, progress)| Replica {
            id: name.clone(),
            acked_index: progress.matched,
            lag_ms: match progress.matched >= last {
                true => 0,
                false => now.since(progress.caught_up_at).as_millis() as u64,
            },
            up: self.peers.is_connected(name)
                && now.since(progress.heard) < self.setup.timing.election_timeout,
            joined: self.peers.life(name).is_some_and(|life| self.roster().has_joined(name, life)),
            no_room: progress.no_room.is_some(),
        });
        replica.collect()
    }

    /// True if the node is ready for requests: it has not failed, and has been part of a cluster.
    pub fn is_fit(&self) -> bool {
        match self.role() {
            Role::Stopped => false,
            // No other node could be the primary.
            _ if self.setup.is_alone() => self.is_settled(),
            _ => self.applied.state.membership().is_some(),
        }
    }
}
