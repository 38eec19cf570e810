//! A log entry: the *result* of a write, not the command. A node that applies it has nothing left
//! to decide, and so cannot reject it.

#![deny(clippy::disallowed_methods)]

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::input::RequestId;
use super::key::Key;
use super::life::Start;
use super::member::{Incarnation, Membership, Name};
use super::requests::Named;
use dbclient::Version;

/// A log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The entry's index; the first is 1, and there are no gaps.
    pub index: u64,
    /// The term of the primary that appended it.
    pub term: u64,
    /// The content.
    pub payload: Payload,
}

/// A position in a log: an index, and the term of the entry there. Two logs with the same entry at
/// an index are identical up to it (the Raft paper's Log Matching Property).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct LogId {
    /// The entry's term. It is compared first: a longer log of an earlier term is less up to date.
    pub term: u64,
    /// The entry's index; 0 is before the first.
    pub index: u64,
}

/// The content of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Changes a record.
    Write(Write),
    /// Begins a primary's term: once this entry is committed, everything before it is too.
    NoOp,
    /// Forms the cluster.
    Bootstrap(Membership),
    /// A member came back without its data, as a new incarnation. Earlier versions wrote this; it
    /// is now a [`Start`](Self::Start).
    AddMember {
        /// The member's name.
        name: Name,
        /// The member's new incarnation.
        incarnation: Incarnation,
    },
    /// A member started: from now on, this start of this data directory acts under its name.
    Start {
        /// The member's name.
        name: Name,
        /// The member's incarnation; a new one if it came back without its data.
        incarnation: Incarnation,
        /// The start.
        start: Start,
    },
    /// Changes a record by a write with a request id.
    Named(Write, Stamp),
}

/// The time of a write with a request id, and which request ids are forgotten with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// The cluster's time, in milliseconds.
    pub at: u64,
    /// The request ids of writes up to this version are forgotten.
    pub forgets: Version,
}

/// A change to one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The record's key.
    pub key: Key,
    /// The new content of the record.
    pub change: Change,
    /// The client's id for the write, to be remembered.
    pub request: Option<Request>,
}

/// The effect of a write on its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Sets the record's value.
    Put {
        /// The value.
        value: Bytes,
        /// The data page that holds the record.
        page: u64,
    },
    /// Deletes the record.
    Delete,
}

/// What is remembered of a write with a request id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The request id.
    pub id: RequestId,
    /// A hash of what was asked for: reusing a request id for a different write is an error.
    pub fingerprint: u64,
    /// The new value of the record, if the write was an addition.
    pub sum: Option<i64>,
}

impl Entry {
    /// The entry's position in the log.
    pub fn log_id(&self) -> LogId {
        LogId { term: self.term, index: self.index }
    }

    /// The version that the entry gives the record it writes.
    pub fn version(&self) -> Version {
        Version::of(self.term, self.index)
    }

    /// The change to a record, if this entry is one.
    pub fn write(&self) -> Option<&Write> {
        match &self.payload {
            Payload::Write(write) | Payload::Named(write, _) => Some(write),
            _ => None,
        }
    }

    /// True if the entry states which data directory acts under a member's name.
    pub fn names_member(&self) -> bool {
        matches!(self.payload, Payload::AddMember { .. } | Payload::Start { .. })
    }

    /// The stamp of a write with a request id. Earlier versions logged request ids without a time.
    pub fn stamp(&self) -> Option<Stamp> {
        match &self.payload {
            Payload::Named(_, stamp) => Some(*stamp),
            Payload::Write(write) if write.request.is_some() => Some(Stamp::default()),
            _ => None,
        }
    }

    /// What has to be remembered of a write with a request id.
    pub fn named(&self) -> Option<Named> {
        let request = self.write()?.request.clone()?;
        Some(Named { version: self.version(), at: self.stamp()?.at, request })
    }

    /// The approximate memory footprint, in bytes.
    pub fn size(&self) -> usize {
        let said = self.write().map_or(0, |write| {
            let request = write.request.as_ref().map_or(0, |request| request.id.len());
            let value = match &write.change {
                Change::Put { value, .. } => value.len(),
                Change::Delete => 0,
            };
            write.key.as_str().len() + value + request
        });
        std::mem::size_of::<Self>() + said
    }
}
