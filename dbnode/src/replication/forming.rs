//! How a cluster is formed, and how a member that lost its data joins again. See
//! [`member`](crate::replication::member).

#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use rand::RngExt;
use uuid::Builder;

use super::Core;
use super::disk::Ballot;
use super::effect::Effect;
use super::entry::Payload;
use super::input::{Hello, Moment};
use super::lead::Progress;
use super::life::Life;
use super::member::{ClusterId, Membership, Name};
use super::role::RoleState;

impl Core {
    /// Handles a new connection to another node.
    pub(super) fn on_connected(&mut self, now: Moment, peer: Name, hello: Hello, effects: &mut Vec<Effect>) {
        let life = Arc::clone(&hello.life);
        self.peers.connected.insert(peer.clone(), hello);
        self.greet(&peer, &life, effects);
        if let RoleState::Primary(lead) = &mut self.role_state
            && let Some(progress) = lead.progress.get_mut(&peer)
        {
            if progress.life.as_ref().is_some_and(|known| known.is_same(&life)) {
                progress.probe_from(progress.next);
            } else {
                *progress = Progress::unknown(Some(life), self.log.last(), now);
            }
        }
        if self.lead().is_some() {
            self.begin_round(now, effects);
        }
        self.ask_for_vote(&peer, effects);
        self.form(now, effects);
    }

    /// Handles the loss of a connection to another node.
    pub(super) fn on_disconnected(&mut self, peer: &Name) {
        self.peers.connected.remove(peer);
    }

    /// Forms the cluster, if this node is the first by name and all others are connected and new.
    pub(super) fn form(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let is_first = self.setup.members.first() == Some(&self.setup.name);
        let is_new = |name: &Name| self.peers.connected.get(name).is_some_and(|it| it.cluster.is_none());
        if !is_first || self.membership().is_some() || !self.setup.others().iter().all(is_new) {
            return;
        }
        let others = self.peers.connected.iter().map(|(name, hello)| (name.clone(), hello.life.incarnation));
        let founders = others.chain([(self.setup.name.clone(), self.life.incarnation)]).collect();
        let cluster = ClusterId(Builder::from_random_bytes(self.rng.random()).into_uuid());
        self.hard_state
            .set(Ballot { term: self.hard_state.term() + 1, voted_for: Some(self.setup.name.clone()) });
        self.become_primary(now, Payload::Bootstrap(Membership::formed(cluster, founders)), effects);
    }

    /// Logs which start of which data directory acts under each name. This is how members that came
    /// back without their data join again.
    pub(super) fn let_join(&mut self) {
        let RoleState::Primary(lead) = &mut self.role_state else { return };
        // One at a time, and only when the commit index is known.
        let settled = self.log.committed() >= lead.began;
        if self.setup.is_alone() || !settled || lead.joining.is_some_and(|index| index > self.applied.index())
        {
            return;
        }
        let Some(membership) = self.applied.state.membership() else { return };
        let known = |name: &Name, life: &Life| {
            membership.counts(name, life.incarnation)
                && self.applied.state.start(name).unwrap_or_default() == life.starts.newest()
        };
        let others = self.peers.connected.iter().map(|(name, hello)| (name, &hello.life));
        let mut all = others.chain([(&self.setup.name, &self.life)]);
        let news = all.find(|(name, life)| membership.members.contains_key(*name) && !known(name, life));
        if let Some((name, life)) = news {
            let (name, incarnation) = (name.clone(), life.incarnation);
            let start = Payload::Start { name, incarnation, start: life.starts.newest() };
            lead.joining = Some(self.log.append(self.hard_state.term(), start).index);
        }
    }
}
