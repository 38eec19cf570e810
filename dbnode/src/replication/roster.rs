//! The roster: which data directory acts under each member's name, according to this node's state
//! and log. See [`member`](crate::replication::member) for when an entry takes effect.

#![deny(clippy::disallowed_methods)]

use super::entry::{Entry, Payload};
use super::life::{Life, Start};
use super::log::Log;
use super::member::{Incarnation, Membership, Name};
use super::state::State;

/// The members, as the state and the log name them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Roster<'a> {
    pub(super) log: &'a Log,
    pub(super) state: &'a State,
}

impl<'a> Roster<'a> {
    /// The cluster's members. The first entry of every log names them, even before it is known to
    /// be committed.
    pub(super) fn membership(self) -> Option<&'a Membership> {
        let first = || match &self.log.get(self.log.compacted().index + 1)?.payload {
            Payload::Bootstrap(membership) => Some(membership),
            _ => None,
        };
        self.state.membership().or_else(first)
    }

    /// The newest start that has joined under a name; `None` if none is known.
    pub(super) fn start(self, name: &str) -> Option<Start> {
        self.state.start(name)
    }

    /// The directory, and its start, that the newest unapplied entry for a name states.
    pub(super) fn unapplied(self, name: &str) -> Option<(Incarnation, Option<Start>)> {
        self.log.members_after(self.state.applied()).find_map(|entry| match &entry.payload {
            Payload::Start { name: other, incarnation, start } if **other == *name => {
                Some((*incarnation, Some(*start)))
            }
            Payload::AddMember { name: other, incarnation } if **other == *name => Some((*incarnation, None)),
            _ => None,
        })
    }

    /// True if, by the newest entry in this node's log, another directory or a later start acts
    /// under that name. Applied or not, the earlier holder no longer counts.
    pub(super) fn is_replaced(self, name: &str, life: &Life) -> bool {
        let is_another = |(incarnation, start): (Incarnation, Option<Start>)| {
            incarnation != life.incarnation || start.is_some_and(|start| !life.starts.include(start))
        };
        self.unapplied(name).is_some_and(is_another)
    }

    /// True if this is an old copy of the directory that acts under that name: it does not know the
    /// start that the newest entry names.
    pub(super) fn is_old_copy(self, name: &str, life: &Life) -> bool {
        let applied = self.membership().and_then(|it| it.members.get(name)).copied();
        let newest = self.unapplied(name).or_else(|| Some((applied?, self.start(name))));
        let is_old = |(incarnation, start): (Incarnation, Option<Start>)| {
            incarnation == life.incarnation && start.is_some_and(|start| !life.starts.include(start))
        };
        newest.is_some_and(is_old)
    }

    /// True if the cluster has agreed that this start acts under that name, so that what it lacks is
    /// known.
    pub(super) fn has_joined(self, name: &str, life: &Life) -> bool {
        let is_member = self.membership().is_some_and(|it| it.counts(name, life.incarnation));
        is_member && self.start(name) == Some(life.starts.newest())
    }

    /// The index of the newest entry in this log that states which directory acts under a name.
    pub(super) fn acts_since(self, name: &Name) -> u64 {
        let names =
            |entry: &&Entry| matches!(&entry.payload, Payload::Start { name: other, .. } if other == name);
        let unapplied = self.log.members_after(self.state.applied()).find(names);
        unapplied.map_or_else(|| self.state.acts_since(name), |entry| entry.index)
    }
}
