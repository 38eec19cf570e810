//! What this node knows of the others: which are connected, what they are known to have had, and
//! which of them restarted with less than that.

#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::LogId;
use super::input::Hello;
use super::life::{Life, Memory};
use super::member::Name;
use super::roster::Roster;

/// The other nodes, as this node has seen them since it started.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// The nodes that are connected.
    pub(super) connected: BTreeMap<Name, Hello>,
    /// What the other nodes are known to have had on disk.
    memories: BTreeMap<Name, Memory>,
    /// Other nodes whose current life began with less than is remembered of them, and that have not
    /// rejoined since.
    doubted: BTreeMap<Name, Arc<Life>>,
    /// The node that knows that this node's life began with less than it had confirmed before.
    pub(super) doubted_by: Option<Name>,
}

impl Peers {
    /// True if the node is connected.
    pub(super) fn is_connected(&self, name: &str) -> bool {
        self.connected.contains_key(name)
    }

    /// The life of a node, if it is connected.
    pub(super) fn life(&self, name: &str) -> Option<&Arc<Life>> {
        self.connected.get(name).map(|hello| &hello.life)
    }

    /// True if a node began this life with less than is remembered of it.
    pub(super) fn has_less_than_before(&self, name: &str, life: &Life) -> bool {
        self.memories.get(name).is_some_and(|memory| memory.exceeds(life))
    }

    /// True if this life is doubted.
    pub(super) fn is_doubted(&self, name: &str, life: &Life) -> bool {
        self.doubted.get(name).is_some_and(|doubted| doubted.is_same(life))
    }

    /// Records that a node's current life is doubted.
    pub(super) fn doubt(&mut self, name: &Name, life: &Arc<Life>) {
        self.doubted.insert(name.clone(), Arc::clone(life));
    }

    /// Remembers that a node sent a message in this term.
    pub(super) fn remember(&mut self, from: &Name, life: &Life, term: u64, has_joined: bool) {
        match self.memories.get_mut(from) {
            // It has since received what it lacked.
            Some(memory) if memory.exceeds(life) && has_joined => *memory = Memory::new(life),
            Some(memory) => memory.update(life, term),
            None => drop(self.memories.insert(from.clone(), Memory::new(life))),
        }
    }

    /// Remembers that a node confirmed an entry that is committed.
    pub(super) fn remember_confirmed(&mut self, name: &str, place: LogId) {
        if let Some(memory) = self.memories.get_mut(name) {
            memory.confirm(place);
        }
    }

    /// Forgets what is remembered of nodes from before they rejoined: they have received whatever
    /// they lacked.
    pub(super) fn forget_earlier_starts(&mut self, roster: Roster<'_>) {
        let Some(membership) = roster.state.membership() else { return };
        self.memories.retain(|name, memory| {
            let acts = membership.members.get(name).zip(roster.start(name));
            acts.is_none_or(|(incarnation, start)| !memory.is_from_before(*incarnation, start))
        });
    }

    /// Ends the doubt about nodes that have rejoined, including this one.
    pub(super) fn trust_again(&mut self, roster: Roster<'_>, own_name: &Name, own_life: &Life) {
        if self.doubted_by.is_some() && roster.has_joined(own_name, own_life) {
            self.doubted_by = None;
        }
        self.doubted.retain(|name, life| !roster.has_joined(name, life));
    }
}
