//! One line of the log: the *result* of a write, not the command. Whoever applies it has nothing
//! left to decide, and so nothing to refuse.

#![deny(clippy::disallowed_methods)]

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::input::RequestId;
use super::key::Key;
use super::member::{Incarnation, Membership, Name};
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
pub struct Place {
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
    Begin,
    /// A cluster is formed.
    Form(Membership),
    /// A member came back without its data, as a new incarnation.
    Join {
        /// Its name.
        name: Name,
        /// Its new incarnation.
        incarnation: Incarnation,
    },
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
    pub fn place(&self) -> Place {
        Place { term: self.term, index: self.index }
    }

    /// The version that it gives the record it writes.
    pub fn version(&self) -> Version {
        Version::of(self.term, self.index)
    }

    /// The change of a record, when it is one.
    pub fn write(&self) -> Option<&Write> {
        match &self.payload {
            Payload::Write(write) => Some(write),
            Payload::Begin | Payload::Form(_) | Payload::Join { .. } => None,
        }
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
