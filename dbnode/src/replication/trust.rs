//! Whose word counts. See [`member`](crate::replication::member) for the rule, and
//! [`life`](crate::replication::life) for how old data is found out.

#![deny(clippy::disallowed_methods)]

use std::sync::Arc;

use super::Core;
use super::effect::{Effect, Notice};
use super::entry::{Entry, LogId, Payload};
use super::life::{Life, Memory, Start};
use super::member::{Incarnation, Name};
use super::message::{Candidacy, Message};

impl Core {
    /// True when what this life says under that name may be counted.
    pub(super) fn counts(&self, name: &str, life: &Life) -> bool {
        let Some(membership) = self.membership() else { return false };
        let knows = self.state.start(name).is_none_or(|start| life.starts.include(start));
        let is_member = membership.counts(name, life.incarnation) && knows;
        is_member && !self.is_replaced(name, life) && !self.is_doubted(name, life)
    }

    /// The same, of somebody of whom perhaps nothing is known yet.
    pub(super) fn counts_if_known(&self, name: &str, life: Option<&Arc<Life>>) -> bool {
        life.is_some_and(|life| self.counts(name, life))
    }

    /// May this node's vote be counted?
    pub(super) fn may_vote(&self) -> bool {
        self.doubted_by.is_none() && self.counts(&self.name, &self.life)
    }

    /// The newest word about who acts under a name, when it is not applied yet.
    fn unapplied_word(&self, name: &str) -> Option<(Incarnation, Option<Start>)> {
        self.log.members_after(self.state.applied()).find_map(|entry| match &entry.payload {
            Payload::Start { name: other, incarnation, start } if **other == *name => {
                Some((*incarnation, Some(*start)))
            }
            Payload::AddMember { name: other, incarnation } if **other == *name => Some((*incarnation, None)),
            _ => None,
        })
    }

    /// True when somebody else, or a later start, acts under that name by the newest word that this
    /// node's log has: applied or not, what was before does not count any more.
    fn is_replaced(&self, name: &str, life: &Life) -> bool {
        let is_another = |(incarnation, start): (Incarnation, Option<Start>)| {
            incarnation != life.incarnation || start.is_some_and(|start| !life.starts.include(start))
        };
        self.unapplied_word(name).is_some_and(is_another)
    }

    /// True when this is old data of the directory that acts under that name: it asks to be elected
    /// without what it had confirmed. A directory that this node has not heard of may well be the
    /// newer one; what it lacks, if it is the older one, it lacks in its log.
    pub(super) fn is_old_data(&self, name: &str, life: &Life) -> bool {
        let applied = self.membership().and_then(|it| it.members.get(name)).copied();
        let word = self.unapplied_word(name).or_else(|| Some((applied?, self.state.start(name))));
        let is_old = |(incarnation, start): (Incarnation, Option<Start>)| {
            incarnation == life.incarnation && start.is_some_and(|start| !life.starts.include(start))
        };
        word.is_some_and(is_old) || self.is_doubted(name, life)
    }

    /// The same of a candidate. Whoever has joined again by an entry that this log does not reach is not
    /// judged by what came before; that it lacks nothing is for the comparison of the logs to tell.
    pub(super) fn stands_by_old_data(&self, name: &str, life: &Life, candidacy: &Candidacy) -> bool {
        candidacy.acts_since <= self.log.last() && self.is_old_data(name, life)
    }

    /// The newest entry of this log that says who acts under this node's name.
    pub(super) fn acts_since(&self) -> u64 {
        let names =
            |entry: &&Entry| matches!(&entry.payload, Payload::Start { name, .. } if *name == self.name);
        let unapplied = self.log.members_after(self.state.applied()).find(names);
        unapplied.map_or_else(|| self.state.acts_since(&self.name), |entry| entry.index)
    }

    /// Another node says that the log is committed up to there. It is, if this log has that entry;
    /// with it, this node may know better who counts.
    pub(super) fn learn_committed(&mut self, place: LogId) {
        if self.log.has(place) && place.index > self.committed {
            self.committed = place.index;
            self.apply();
            self.trust_again();
        }
    }

    /// Up to where the log is committed, to be told.
    pub(super) fn committed_place(&self) -> LogId {
        let term = self.log.term_at(self.committed).unwrap_or_default();
        LogId { term, index: self.committed }
    }

    fn is_doubted(&self, name: &str, life: &Life) -> bool {
        self.doubted.get(name).is_some_and(|doubted| doubted.is_same(life))
    }

    /// Another node said something: it is compared with what was heard of it before.
    pub(super) fn remember(&mut self, from: &Name, life: &Arc<Life>, term: u64, effects: &mut Vec<Effect>) {
        self.compare(from, life, effects);
        let has_joined = self.has_joined(from, life);
        match self.memories.get_mut(from) {
            // What it lacks, it has been given since.
            Some(memory) if memory.exceeds(life) && has_joined => *memory = Memory::new(life),
            Some(memory) => memory.hear(life, term),
            None => drop(self.memories.insert(from.clone(), Memory::new(life))),
        }
    }

    /// Is that less than was heard of it before?
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

    /// A way to another node was opened: it is to hear at once when it has less than it had.
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

    /// True when it was agreed that this start acts under that name: what it lacks is known.
    fn has_joined(&self, name: &str, life: &Life) -> bool {
        let is_member = self.membership().is_some_and(|it| it.counts(name, life.incarnation));
        is_member && self.state.start(name) == Some(life.starts.newest())
    }

    /// Another node knows that this one has less than it had; unless it does not know yet that this one has
    /// joined again.
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

    /// Others may have joined again: what was heard of them before does not matter any more, for they have been
    /// given whatever they lacked.
    pub(super) fn forget_earlier_starts(&mut self) {
        let Some(membership) = self.state.membership() else { return };
        self.memories.retain(|name, memory| {
            let acts = membership.members.get(name).zip(self.state.start(name));
            acts.is_none_or(|(incarnation, start)| !memory.is_from_before(*incarnation, start))
        });
    }

    /// Those that have joined since are not doubted any more.
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
