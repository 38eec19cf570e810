//! One line of the log: the *result* of a write, not the command. Whoever applies it has nothing
//! left to decide, and so nothing to refuse.

#![deny(clippy::disallowed_methods)]

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::input::RequestId;
use super::key::Key;
use super::life::Start;
use super::member::{Incarnation, Membership, Name};
use super::requests::Named;
use dbclient::Version;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place; the first is 1 and there are no gaps.
    pub index: u64,
    /// In whose time as primary it was written.
    pub term: u64,
    /// What it says.
    pub payload: Payload,
}

/// A place in a log, and the term of the entry there. Two logs with the same entry at a place are
/// the same up to it (the Raft paper's Log Matching Property).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct LogId {
    /// In whose time the entry was written. Compared first: a longer log of an earlier term is
    /// less, not more.
    pub term: u64,
    /// Where it stands; 0 is before the first.
    pub index: u64,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// A record changes.
    Write(Write),
    /// A primary's time begins: with this entry, everything before it is committed.
    NoOp,
    /// A cluster is formed.
    Bootstrap(Membership),
    /// A member came back without its data, as a new incarnation. Earlier versions wrote this; now
    /// it is a [`Start`](Self::Start).
    AddMember {
        /// Its name.
        name: Name,
        /// Its new incarnation.
        incarnation: Incarnation,
    },
    /// A member started: from now on this start of this data directory acts under its name.
    Start {
        /// Its name.
        name: Name,
        /// Its incarnation: another than before, when it came back without its data.
        incarnation: Incarnation,
        /// The start.
        start: Start,
    },
    /// A record changes, and the write had a name.
    Named(Write, Stamp),
}

/// When a named write was, and which names are forgotten with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// In milliseconds of the cluster's time.
    pub at: u64,
    /// The names of writes up to this version are forgotten.
    pub forgets: Version,
}

/// A change of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// Which record changes.
    pub key: Key,
    /// What it is from now on.
    pub change: Change,
    /// The client's name for the write, to be remembered.
    pub request: Option<Request>,
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// It has this value from now on.
    Put {
        /// The value.
        value: Bytes,
        /// The page of data the record lies on.
        page: u64,
    },
    /// It is no more.
    Delete,
}

/// A named write, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The name.
    pub id: RequestId,
    /// Stands for what was wanted: the same name with another wish is a mistake.
    pub fingerprint: u64,
    /// The record's value, when the write was an addition.
    pub sum: Option<i64>,
}

impl Entry {
    /// Where it stands.
    pub fn log_id(&self) -> LogId {
        LogId { term: self.term, index: self.index }
    }

    /// The version that it gives the record it writes.
    pub fn version(&self) -> Version {
        Version::of(self.term, self.index)
    }

    /// The change of a record, when it is one.
    pub fn write(&self) -> Option<&Write> {
        match &self.payload {
            Payload::Write(write) | Payload::Named(write, _) => Some(write),
            _ => None,
        }
    }

    /// True when it says who acts under a member's name.
    pub fn names_member(&self) -> bool {
        matches!(self.payload, Payload::AddMember { .. } | Payload::Start { .. })
    }

    /// When it was, when it is a named write. Earlier versions gave names without a time.
    pub fn stamp(&self) -> Option<Stamp> {
        match &self.payload {
            Payload::Named(_, stamp) => Some(*stamp),
            Payload::Write(write) if write.request.is_some() => Some(Stamp::default()),
            _ => None,
        }
    }

    /// What is to be remembered of it, when it is a named write.
    pub fn named(&self) -> Option<Named> {
        let request = self.write()?.request.clone()?;
        Some(Named { version: self.version(), at: self.stamp()?.at, request })
    }

    /// About how much memory it takes, in bytes.
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
