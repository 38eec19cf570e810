//! What the core hears of.

#![deny(clippy::disallowed_methods)]

use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::key::Key;
use super::life::Life;
use super::member::{ClusterId, Name};
use super::message::Envelope;
use super::snapshot::Chunk;
use dbclient::Condition;

/// A point in time, counted from the start of the process. It only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub Duration);

impl Moment {
    /// How long ago an earlier moment was.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0 + time)
    }
}

/// Stands for a client that waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A client wants something written.
    ClientWrites {
        /// Whom to answer.
        ticket: Ticket,
        /// What it wants.
        write: Write,
    },
    /// A client wants to read what was written last: when may it look?
    ClientReads {
        /// Whom to answer.
        ticket: Ticket,
    },
    /// Another node said something.
    Received {
        /// The sender.
        from: Name,
        /// What it said of itself when it connected, and proved.
        life: Arc<Life>,
        /// The message, with the sender's term.
        envelope: Envelope,
    },
    /// A way to another node was opened: from now on what is sent arrives, in order, until the
    /// way is lost.
    Connected {
        /// The other node.
        peer: Name,
        /// What it said about itself.
        hello: Hello,
    },
    /// The way to another node was lost, and perhaps some of what was sent on it.
    Disconnected {
        /// The other node.
        peer: Name,
    },
    /// The batch that was to be persisted is on disk.
    Persisted,
    /// The batch that was to be persisted found no room on the disk. Nothing of it is there.
    DiskFull,
    /// The disk failed, and what is on it is no longer known.
    DiskFailed,
    /// The entries that were to be compacted are in the snapshot, up to this one.
    Compacted {
        /// The last of them.
        up_to: u64,
    },
    /// The entries that were to be compacted found no room on the disk.
    NotCompacted,
    /// There is little room left on the disk, or there is enough again.
    Room {
        /// There is little.
        is_short: bool,
    },
    /// The piece of the snapshot that was to be read; none when it could not be read now.
    SnapshotRead {
        /// The node that is to get it.
        peer: Name,
        /// The piece.
        chunk: Option<Chunk>,
    },
    /// The snapshot that was to replace everything does.
    Installed,
    /// The snapshot that was to replace everything found no room on the disk.
    NotInstalled,
    /// This node is about to stop: somebody else is to be the primary.
    HandOver,
    /// Some time went by.
    TimePassed,
}

/// What a node says about itself when it connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Which start of which data directory it is.
    pub life: Arc<Life>,
    /// The cluster it belongs to; none when it is new.
    pub cluster: Option<ClusterId>,
}

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which record.
    pub key: Key,
    /// To do what.
    pub action: Action,
    /// And when.
    pub condition: Condition,
    /// The client's own name for this write: with one, it has effect once.
    pub request: Option<RequestId>,
}

/// What to do with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Give it this value.
    Put(Bytes),
    /// Forget it.
    Delete,
    /// Add this to its value, a decimal number; a missing record counts as 0.
    Add(i64),
}

/// A client's own name for a write.
pub type RequestId = Arc<str>;
