//! Which nodes count as members. See [`member`](crate::replication::member) for the rule, and
//! [`life`](crate::replication::life) for how old data is detected.

#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use super::Core;
use super::effect::{Effect, Notice};
use super::entry::LogId;
use super::life::{Life, Start};
use super::member::{Membership, Name};
use super::message::{Candidacy, Message};
use super::roster::Roster;

impl Core {
    /// Which data directory acts under each name, as far as this node knows.
    pub(super) fn roster(&self) -> Roster<'_> {
        Roster { log: &self.log, state: &self.applied.state }
    }

    /// The cluster's members, as far as this node knows.
    pub fn membership(&self) -> Option<&Membership> {
        self.roster().membership()
    }

    /// True if confirmations and votes of this life under that name count.
    pub(super) fn counts(&self, name: &str, life: &Life) -> bool {
        let roster = self.roster();
        let Some(membership) = roster.membership() else { return false };
        let knows = roster.start(name).is_none_or(|start| life.starts.include(start));
        let is_member = membership.counts(name, life.incarnation) && knows;
        is_member && !roster.is_replaced(name, life) && !self.peers.is_doubted(name, life)
    }

    /// Like `counts`, for a node whose life may not be known yet.
    pub(super) fn counts_if_known(&self, name: &str, life: Option<&Arc<Life>>) -> bool {
        life.is_some_and(|life| self.counts(name, life))
    }

    /// True if this node's own vote counts.
    pub(super) fn may_vote(&self) -> bool {
        self.peers.doubted_by.is_none() && self.counts(&self.setup.name, &self.life)
    }

    /// True if this is an old copy of the directory that acts under that name, so that it lacks
    /// something it had confirmed. A directory that this node has not heard of may well be the
    /// newer one; if it is the older one, the comparison of logs shows what it lacks.
    pub(super) fn is_old_data(&self, name: &str, life: &Life) -> bool {
        self.roster().is_old_copy(name, life) || self.peers.is_doubted(name, life)
    }

    /// Like `is_old_data`, for a candidate. A candidate that joined again by an entry beyond the
    /// end of this log is not judged by earlier knowledge; the comparison of logs shows whether it
    /// lacks anything.
    pub(super) fn stands_by_old_data(&self, name: &str, life: &Life, candidacy: &Candidacy) -> bool {
        candidacy.acts_since <= self.log.last() && self.is_old_data(name, life)
    }

    /// Adopts another node's commit index, if this log contains the entry there. With it, this node
    /// may know better which nodes count.
    pub(super) fn learn_committed(&mut self, place: LogId) {
        if self.log.has(place) && place.index > self.log.committed() {
            self.log.commit_to(place.index);
            self.apply();
            self.trust_again();
        }
    }

    /// Compares what another node says about itself with what was heard from it before, and
    /// remembers it.
    pub(super) fn remember(&mut self, from: &Name, life: &Arc<Life>, term: u64, effects: &mut Vec<Effect>) {
        self.compare(from, life, effects);
        let has_joined = self.roster().has_joined(from, life);
        self.peers.remember(from, life, term, has_joined);
    }

    /// Starts to doubt a node that has less than was heard from it before, and tells it so.
    pub(super) fn compare(&mut self, from: &Name, life: &Arc<Life>, effects: &mut Vec<Effect>) {
        let has_less = self.peers.has_less_than_before(from, life);
        if !has_less || self.peers.is_doubted(from, life) || self.roster().has_joined(from, life) {
            return;
        }
        self.peers.doubt(from, life);
        effects.push(Effect::Tell(Notice::OldData(from.clone())));
        let start = life.starts.newest();
        let known_up_to = self.log.last();
        self.send(from, Message::OldData { start, known_up_to }, effects);
    }

    /// Tells a newly connected node at once if it has less than it had.
    pub(super) fn greet(&mut self, peer: &Name, life: &Arc<Life>, effects: &mut Vec<Effect>) {
        self.compare(peer, life, effects);
        if self.is_old_data(peer, life) {
            let start = life.starts.newest();
            let known_up_to = self.log.last();
            self.send(peer, Message::OldData { start, known_up_to }, effects);
            if !self.peers.is_doubted(peer, life) {
                effects.push(Effect::Tell(Notice::OldData(peer.clone())));
            }
        }
    }

    /// Handles another node's warning that this one has less than it had. It is ignored if the
    /// sender does not know yet that this node has joined again.
    pub(super) fn on_old_data(
        &mut self,
        from: &Name,
        start: Start,
        known_up_to: u64,
        effects: &mut Vec<Effect>,
    ) {
        let knows = self.roster().acts_since(&self.setup.name) <= known_up_to;
        let is_news = knows && self.peers.doubted_by.is_none() && start == self.life.starts.newest();
        if is_news && !self.roster().has_joined(&self.setup.name, &self.life) {
            self.peers.doubted_by = Some(from.clone());
            effects.push(Effect::Tell(Notice::OwnOldData(from.clone())));
        }
    }

    /// Forgets what was heard from nodes before they joined again.
    pub(super) fn forget_earlier_starts(&mut self) {
        self.peers.forget_earlier_starts(Roster { log: &self.log, state: &self.applied.state });
    }

    /// Ends the doubt about nodes that have joined again.
    pub(super) fn trust_again(&mut self) {
        let roster = Roster { log: &self.log, state: &self.applied.state };
        self.peers.trust_again(roster, &self.setup.name, &self.life);
    }
}
