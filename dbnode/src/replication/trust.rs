//! Which nodes count as members. See [`member`](crate::replication::member) for the rule, and
//! [`life`](crate::replication::life) for how old data is detected.

#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use super::Core;
use super::effect::{Effect, Notice};
use super::entry::{Entry, LogId, Payload};
use super::life::{Life, Memory, Start};
use super::member::{Incarnation, Name};
use super::message::{Candidacy, Message};

impl Core {
    /// True if confirmations and votes of this life under that name count.
    pub(super) fn counts(&self, name: &str, life: &Life) -> bool {
        let Some(membership) = self.membership() else { return false };
        let knows = self.applied.state.start(name).is_none_or(|start| life.starts.include(start));
        let is_member = membership.counts(name, life.incarnation) && knows;
        is_member && !self.is_replaced(name, life) && !self.is_doubted(name, life)
    }

    /// Like `counts`, for a node whose life may not be known yet.
    pub(super) fn counts_if_known(&self, name: &str, life: Option<&Arc<Life>>) -> bool {
        life.is_some_and(|life| self.counts(name, life))
    }

    /// True if this node's own vote counts.
    pub(super) fn may_vote(&self) -> bool {
        self.doubted_by.is_none() && self.counts(&self.name, &self.life)
    }

    /// The newest logged but unapplied statement of which directory acts under a name.
    fn unapplied_word(&self, name: &str) -> Option<(Incarnation, Option<Start>)> {
        self.log.members_after(self.applied.index()).find_map(|entry| match &entry.payload {
            Payload::Start { name: other, incarnation, start } if **other == *name => {
                Some((*incarnation, Some(*start)))
            }
            Payload::AddMember { name: other, incarnation } if **other == *name => Some((*incarnation, None)),
            _ => None,
        })
    }

    /// True if, by the newest entry in this node's log, another directory or a later start acts
    /// under that name. Applied or not, the earlier holder no longer counts.
    fn is_replaced(&self, name: &str, life: &Life) -> bool {
        let is_another = |(incarnation, start): (Incarnation, Option<Start>)| {
            incarnation != life.incarnation || start.is_some_and(|start| !life.starts.include(start))
        };
        self.unapplied_word(name).is_some_and(is_another)
    }

    /// True if this is an old copy of the directory that acts under that name, so that it lacks
    /// something it had confirmed. A directory that this node has not heard of may well be the
    /// newer one; if it is the older one, the comparison of logs shows what it lacks.
    pub(super) fn is_old_data(&self, name: &str, life: &Life) -> bool {
        let applied = self.membership().and_then(|it| it.members.get(name)).copied();
        let word = self.unapplied_word(name).or_else(|| Some((applied?, self.applied.state.start(name))));
        let is_old = |(incarnation, start): (Incarnation, Option<Start>)| {
            incarnation == life.incarnation && start.is_some_and(|start| !life.starts.include(start))
        };
        word.is_some_and(is_old) || self.is_doubted(name, life)
    }

    /// Like `is_old_data`, for a candidate. A candidate that joined again by an entry beyond the
    /// end of this log is not judged by earlier knowledge; the comparison of logs shows whether it
    /// lacks anything.
    pub(super) fn stands_by_old_data(&self, name: &str, life: &Life, candidacy: &Candidacy) -> bool {
        candidacy.acts_since <= self.log.last() && self.is_old_data(name, life)
    }

    /// The index of the newest entry in this log that states which directory acts under this node's
    /// name.
    pub(super) fn acts_since(&self) -> u64 {
        let names =
            |entry: &&Entry| matches!(&entry.payload, Payload::Start { name, .. } if *name == self.name);
        let unapplied = self.log.members_after(self.applied.index()).find(names);
        unapplied.map_or_else(|| self.applied.state.acts_since(&self.name), |entry| entry.index)
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

    fn is_doubted(&self, name: &str, life: &Life) -> bool {
        self.doubted.get(name).is_some_and(|doubted| doubted.is_same(life))
    }

    /// Compares what another node says about itself with what was heard from it before, and
    /// remembers it.
    pub(super) fn remember(&mut self, from: &Name, life: &Arc<Life>, term: u64, effects: &mut Vec<Effect>) {
        self.compare(from, life, effects);
        let has_joined = self.has_joined(from, life);
        match self.memories.get_mut(from) {
            // It has since received what it lacked.
            Some(memory) if memory.exceeds(life) && has_joined => *memory = Memory::new(life),
            Some(memory) => memory.hear(life, term),
            None => drop(self.memories.insert(from.clone(), Memory::new(life))),
        }
    }

    /// Starts to doubt a node that has less than was heard from it before, and tells it so.
    pub(super) fn compare(&mut self, from: &Name, life: &Arc<Life>, effects: &mut Vec<Effect>) {
        let exceeds = self.memories.get(from).is_some_and(|memory| memory.exceeds(life));
        if !exceeds || self.is_doubted(from, life) || self.has_joined(from, life) {
            return;
        }
        self.doubted.insert(from.clone(), Arc::clone(life));
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
            if !self.is_doubted(peer, life) {
                effects.push(Effect::Tell(Notice::OldData(peer.clone())));
            }
        }
    }

    /// True if the cluster has agreed that this start acts under that name; then what it lacks is
    /// known.
    fn has_joined(&self, name: &str, life: &Life) -> bool {
        let is_member = self.membership().is_some_and(|it| it.counts(name, life.incarnation));
        is_member && self.applied.state.start(name) == Some(life.starts.newest())
    }

    /// Handles another node's warning that this one has less than it had. It is ignored if the
    /// sender does not know yet that this node has joined again.
    pub(super) fn hear_of_old_data(
        &mut self,
        from: &Name,
        start: Start,
        known_up_to: u64,
        effects: &mut Vec<Effect>,
    ) {
        let knows = self.acts_since() <= known_up_to;
        let is_news = knows && self.doubted_by.is_none() && start == self.life.starts.newest();
        if is_news && !self.has_joined(&self.name, &self.life) {
            self.doubted_by = Some(from.clone());
            effects.push(Effect::Tell(Notice::OwnOldData(from.clone())));
        }
    }

    /// Forgets what was heard from nodes before they joined again: they have received whatever they
    /// lacked.
    pub(super) fn forget_earlier_starts(&mut self) {
        let Some(membership) = self.applied.state.membership() else { return };
        self.memories.retain(|name, memory| {
            let acts = membership.members.get(name).zip(self.applied.state.start(name));
            acts.is_none_or(|(incarnation, start)| !memory.is_from_before(*incarnation, start))
        });
    }

    /// Ends the doubt about nodes that have joined again.
    pub(super) fn trust_again(&mut self) {
        if self.doubted_by.is_some() && self.has_joined(&self.name, &self.life) {
            self.doubted_by = None;
        }
        if !self.doubted.is_empty() {
            let mut doubted = std::mem::take(&mut self.doubted);
            doubted.retain(|name, life| !self.has_joined(name, life));
            self.doubted = doubted;
        }
    }
}
