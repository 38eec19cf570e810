//! The core's input: everything it reacts to.

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

/// A point in time, measured from the start of the process. It never goes backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub Duration);

impl Moment {
    /// The time that has passed since an earlier moment.
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

/// Identifies a client's pending request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// An event that the core reacts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A client writes.
    ClientWrites {
        /// The client's request.
        ticket: Ticket,
        /// The write.
        write: Write,
    },
    /// A client wants a linearizable read, and asks when it may read.
    ClientReads {
        /// The client's request.
        ticket: Ticket,
    },
    /// A message from another node arrived.
    Received {
        /// The sender.
        from: Name,
        /// Which start of which data directory the sender is, as proved when it connected.
        life: Arc<Life>,
        /// The message, with the sender's term.
        envelope: Envelope,
    },
    /// A connection to another node was opened. From now on, messages to it arrive in order until
    /// the connection is lost.
    Connected {
        /// The other node.
        peer: Name,
        /// The other node's greeting.
        hello: Hello,
    },
    /// The connection to another node was lost, and perhaps some of the messages sent on it.
    Disconnected {
        /// The other node.
        peer: Name,
    },
    /// The batch is on disk.
    Persisted,
    /// The batch was not written, because the disk is full. No part of it is on disk.
    DiskFull,
    /// The disk failed, and its content is no longer known.
    DiskFailed,
    /// The compacted entries are in the snapshot on disk.
    Compacted {
        /// The last of them.
        up_to: u64,
    },
    /// Compaction failed, because the disk is full.
    NotCompacted,
    /// Free disk space has become short, or sufficient again.
    Room {
        /// True if it is short.
        is_short: bool,
    },
    /// A chunk of the snapshot was read; `None` if it could not be read now.
    SnapshotRead {
        /// The node that will receive it.
        peer: Name,
        /// The chunk.
        chunk: Option<Chunk>,
    },
    /// A received snapshot has replaced the local state.
    Installed,
    /// A received snapshot was not installed, because the disk is full.
    NotInstalled,
    /// This node is about to stop and should hand over leadership.
    HandOver,
    /// A timer tick.
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

/// A client's write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The record's key.
    pub key: Key,
    /// The operation on the record.
    pub action: Action,
    /// The precondition.
    pub condition: Condition,
    /// The client's id for this write; with one, retries have no further effect.
    pub request: Option<RequestId>,
}

/// An operation on a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Set the value.
    Put(Bytes),
    /// Delete the record.
    Delete,
    /// Add this to its value, a decimal number; a missing record counts as 0.
    Add(i64),
}

/// A client's own id for a write (its idempotency key).
pub type RequestId = Arc<str>;
