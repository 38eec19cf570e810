//! The writes that had a name, so that each has effect once. They are part of the state, so that
//! they survive a crash, and a primary.
//!
//! Each is remembered for a promised time, by a clock that is part of the log: the primary writes
//! into every named write when it was, in milliseconds of the cluster's own time, and up to which
//! version the names are forgotten with it. So all members forget the same at the same entry. The
//! cluster's time goes on while there is a primary, and never goes back: a new primary begins where
//! the newest named write of its log was.
//!
//! What is remembered takes memory. When it takes too much, new names are refused: an old one that
//! is forgotten early might be sent again, and have effect twice.

#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use serde::{Deserialize, Serialize};

use super::effect::Written;
use super::entry::Request;
use super::input::RequestId;
use dbclient::Version;

/// How much memory a name takes beyond its own length, in bytes, by estimate: an allocation of its own (40), and a
/// place in each of two B-trees (24 and 64) whose nodes are two thirds full.
const BYTES: usize = 170;

/// How many names are forgotten at a time: more than one, so that they do become fewer, and not so
/// many that anybody waits for it.
const FORGOTTEN_MAX: usize = 16;

/// The writes that had a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requests {
    versions: BTreeMap<RequestId, Version>,
    /// In the order in which they were written.
    remembered: BTreeMap<Version, Remembered>,
    /// About how much memory they take.
    bytes: usize,
}

/// A write that had a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    id: RequestId,
    /// When it was written, in milliseconds of the cluster's time.
    at: u64,
    /// Stands for what was wanted.
    pub fingerprint: u64,
    /// What it came to.
    pub written: Written,
}

impl Remembered {
    /// What is remembered of a write.
    pub fn new(named: &Named) -> Self {
        let Named { version, at, request } = named;
        let written = Written { version: *version, sum: request.sum };
        Self { id: request.id.clone(), at: *at, fingerprint: request.fingerprint, written }
    }
}

/// A write that had a name, on its way to and from a disk or another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The version that it gave its record.
    pub version: Version,
    /// When it was written, in milliseconds of the cluster's time.
    pub at: u64,
    /// The name, and what was wanted.
    pub request: Request,
}

impl Requests {
    /// Remembers one more.
    pub fn remember(&mut self, named: &Named) {
        let Named { version, request, .. } = named;
        self.bytes += bytes(&request.id);
        self.versions.insert(request.id.clone(), *version);
        self.remembered.insert(*version, Remembered::new(named));
    }

    /// Forgets those that were written up to this version.
    pub fn forget(&mut self, up_to: Version) {
        while let Some(oldest) = self.remembered.first_entry()
            && *oldest.key() <= up_to
        {
            let (version, Remembered { id, .. }) = oldest.remove_entry();
            self.bytes -= bytes(&id);
            if self.versions.get(&id) == Some(&version) {
                self.versions.remove(&id);
            }
        }
    }

    /// Up to which version names may be forgotten, when those up to `forgotten` are already going
    /// to be: some of those that were written before a time, in milliseconds of the cluster's.
    pub fn expired(&self, forgotten: Version, before: u64) -> Version {
        let oldest = self.remembered.range((Excluded(forgotten), Unbounded)).take(FORGOTTEN_MAX);
        let expired = oldest.take_while(|(_, remembered)| remembered.at < before);
        expired.last().map_or(forgotten, |(version, _)| *version)
    }

    /// The writes after a version, the oldest first.
    pub fn after(&self, version: Version) -> impl Iterator<Item = Named> {
        self.remembered.range((Excluded(version), Unbounded)).map(|(version, remembered)| {
            let Remembered { id, at, fingerprint, written } = remembered.clone();
            Named { version: *version, at, request: Request { id, fingerprint, sum: written.sum } }
        })
    }

    /// What became of a write.
    pub fn get(&self, id: &str) -> Option<&Remembered> {
        self.remembered.get(self.versions.get(id)?)
    }

    /// About how much memory they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the newest was written, in milliseconds of the cluster's time.
    pub fn newest(&self) -> u64 {
        self.remembered.last_key_value().map_or(0, |(_, remembered)| remembered.at)
    }
}

/// About how much memory a name takes.
fn bytes(id: &RequestId) -> usize {
    BYTES + id.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(index: u64, at: u64) -> Named {
        let request = Request { id: index.to_string().into(), fingerprint: 0, sum: None };
        Named { version: Version(index), at, request }
    }

    #[test]
    fn only_what_is_old_enough_is_forgotten_and_not_too_much_at_once() {
        let mut requests = Requests::default();
        (1..=100).for_each(|index| requests.remember(&named(index, index * 10)));
        assert_eq!(requests.expired(Version(0), 10), Version(0), "the first is not older than that");
        assert_eq!(requests.expired(Version(0), 31), Version(3));
        assert_eq!(requests.expired(Version(3), 31), Version(3), "the same are not forgotten twice");
        assert_eq!(requests.expired(Version(3), 2_000), Version(3 + FORGOTTEN_MAX as u64));
        requests.forget(Version(3));
        assert!(requests.get("3").is_none());
        assert!(requests.get("4").is_some());
        assert_eq!(requests.after(Version(0)).count(), 97);
        assert_eq!(requests.bytes(), 97 * BYTES + 6 + 90 * 2 + 3, "4 to 9, 10 to 99, and 100");
        requests.forget(Version(100));
        assert_eq!(requests, Requests::default(), "and then they take no memory");
    }

    #[test]
    fn a_name_that_was_forgotten_may_be_given_again() {
        let mut requests = Requests::default();
        requests.remember(&named(1, 10));
        requests.remember(&Named { version: Version(2), ..named(1, 20) });
        requests.forget(Version(1));
        assert_eq!(requests.get("1").unwrap().written.version, Version(2));
        assert_eq!(requests.newest(), 20);
    }
}
