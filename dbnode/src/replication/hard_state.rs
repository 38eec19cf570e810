//! The hard state (etcd's term): this node's ballot, and whether it is on disk yet.

#![deny(clippy::disallowed_methods)]

use super::disk::Ballot;
use super::effect::Effect;
use super::member::Name;
use super::message::Message;

/// Maximum number of messages that wait for the ballot to be on disk. Further ones are dropped, as
/// if the network had lost them.
const HELD_MAX: usize = 1_024;

/// The ballot, and the messages that may not leave before it is on disk.
#[derive(Debug)]
pub(super) struct HardState {
    ballot: Ballot,
    /// The newest ballot that is on disk.
    saved: Ballot,
    on_disk: OnDisk,
    /// Messages held back until the ballot they rely on is on disk.
    held: Vec<Effect>,
}

/// Whether the ballot is on disk.
#[derive(Debug, PartialEq, Eq)]
enum OnDisk {
    /// The current ballot is on disk.
    Yes,
    /// The current ballot has yet to be written.
    No,
    /// This ballot is being written; the current one may be newer.
    Writing(Ballot),
}

impl HardState {
    /// Restores the ballot that was found on disk.
    pub(super) fn recovered(ballot: Ballot) -> Self {
        Self { saved: ballot.clone(), ballot, on_disk: OnDisk::Yes, held: Vec::new() }
    }

    /// The newest term this node knows of.
    pub(super) fn term(&self) -> u64 {
        self.ballot.term
    }

    /// The candidate that it voted for in that term.
    pub(super) fn voted_for(&self) -> Option<&Name> {
        self.ballot.voted_for.as_ref()
    }

    /// True if the ballot is on disk.
    pub(super) fn is_on_disk(&self) -> bool {
        self.on_disk == OnDisk::Yes
    }

    /// Changes the ballot. Messages from now on are held back until it is on disk.
    pub(super) fn set(&mut self, ballot: Ballot) {
        self.ballot = ballot;
        if self.on_disk == OnDisk::Yes {
            self.on_disk = OnDisk::No;
        }
    }

    /// Takes back a change that could not be written, and the messages that relied on it.
    pub(super) fn take_back(&mut self) {
        self.ballot = self.saved.clone();
        self.on_disk = OnDisk::Yes;
        self.held.clear();
    }

    /// Holds back messages that rely on a ballot that is not on disk yet.
    pub(super) fn hold_back(&mut self, effects: &mut Vec<Effect>) {
        if self.is_on_disk() {
            return;
        }
        let promises = |effect: &mut Effect| match effect {
            Effect::Send { envelope, .. } => envelope.message != Message::NoRoom,
            _ => false,
        };
        let messages = effects.extract_if(.., promises);
        let room = HELD_MAX.saturating_sub(self.held.len());
        self.held.extend(messages.take(room));
    }

    /// Returns the ballot, to be written with the next batch, if it has yet to be written.
    pub(super) fn begin_writing(&mut self) -> Option<Ballot> {
        (self.on_disk == OnDisk::No).then(|| {
            self.on_disk = OnDisk::Writing(self.ballot.clone());
            self.ballot.clone()
        })
    }

    /// Records that the batch is on disk, and releases the messages that waited for the ballot.
    pub(super) fn written(&mut self, effects: &mut Vec<Effect>) {
        let OnDisk::Writing(ballot) = &self.on_disk else { return };
        self.saved.clone_from(ballot);
        if *ballot == self.ballot {
            self.on_disk = OnDisk::Yes;
            effects.append(&mut self.held);
        } else {
            self.on_disk = OnDisk::No;
        }
    }

    /// Records that the batch is not on disk; returns true if the ballot was part of it.
    pub(super) fn not_written(&mut self) -> bool {
        let was_writing = matches!(self.on_disk, OnDisk::Writing(_));
        if was_writing {
            self.on_disk = OnDisk::No;
        }
        was_writing
    }
}
