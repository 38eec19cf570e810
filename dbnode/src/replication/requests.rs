//! The writes with a request id (idempotency key), remembered so that a retry has no second effect.
//! They are part of the replicated state, and so survive a crash and a change of primary.
//!
//! Each is remembered for a guaranteed time, by a clock that is part of the log. Into every such
//! write the primary puts its time, in milliseconds of the cluster's own clock, and the version up
//! to which request ids are forgotten with it. So all members forget the same ids at the same
//! entry. The cluster's clock advances while there is a primary, and never goes back: a new primary
//! continues from the newest time in its log.
//!
//! Remembered ids take memory. When they take too much, new ids are rejected: if an old one were
//! forgotten early, it might be sent again and have effect twice.

#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use serde::{Deserialize, Serialize};

use super::effect::Written;
use super::entry::Request;
use super::input::RequestId;
use dbclient::Version;

/// Estimated memory for a request id beyond its own length, in bytes: an allocation of its own
/// (40), and a slot in each of two B-trees (24 and 64) whose nodes are two thirds full.
const BYTES: usize = 170;

/// Maximum number of ids forgotten at a time: more than one, so that their number shrinks, and few
/// enough that no request is delayed noticeably.
const FORGOTTEN_MAX: usize = 16;

/// The writes with a request id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requests {
    versions: BTreeMap<RequestId, Version>,
    /// In the order in which they were written.
    remembered: BTreeMap<Version, Remembered>,
    /// Their approximate memory footprint, in bytes.
    bytes: usize,
}

/// A remembered write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    id: RequestId,
    /// When it was written, in milliseconds of the cluster's clock.
    at: u64,
    /// A hash of what was asked for.
    pub fingerprint: u64,
    /// The result of the write.
    pub written: Written,
}

impl Remembered {
    /// Extracts what is remembered of a write.
    pub fn new(named: &Named) -> Self {
        let Named { version, at, request } = named;
        let written = Written { version: *version, sum: request.sum };
        Self { id: request.id.clone(), at: *at, fingerprint: request.fingerprint, written }
    }
}

/// A write with a request id, as it is stored on disk and sent to other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The version that the write gave its record.
    pub version: Version,
    /// When it was written, in milliseconds of the cluster's clock.
    pub at: u64,
    /// The request id, and what was asked for.
    pub request: Request,
}

impl Named {
    /// Its approximate size in a chunk of a snapshot, in bytes.
    pub fn bytes_in_chunk(&self) -> usize {
        self.request.id.len() + 32
    }
}

impl Requests {
    /// Remembers a write.
    pub fn remember(&mut self, named: &Named) {
        let Named { version, request, .. } = named;
        self.bytes += bytes(&request.id);
        self.versions.insert(request.id.clone(), *version);
        self.remembered.insert(*version, Remembered::new(named));
    }

    /// Forgets the writes up to this version.
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

    /// The version up to which ids may be forgotten, given that those up to `forgotten` are being
    /// forgotten already. Only writes from before a time, in milliseconds of the cluster's clock,
    /// are eligible, and only a few at a time.
    pub fn expired(&self, forgotten: Version, before: u64) -> Version {
        let oldest = self.remembered.range((Excluded(forgotten), Unbounded)).take(FORGOTTEN_MAX);
        let expired = oldest.take_while(|(_, remembered)| remembered.at < before);
        expired.last().map_or(forgotten, |(version, _)| *version)
    }

    /// The writes after a version, oldest first.
    pub fn after(&self, version: Version) -> impl Iterator<Item = Named> {
        self.remembered.range((Excluded(version), Unbounded)).map(|(version, remembered)| {
            let Remembered { id, at, fingerprint, written } = remembered.clone();
            Named { version: *version, at, request: Request { id, fingerprint, sum: written.sum } }
        })
    }

    /// Looks up a write by its request id.
    pub fn get(&self, id: &str) -> Option<&Remembered> {
        self.remembered.get(self.versions.get(id)?)
    }

    /// The approximate memory footprint, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The time of the newest write, in milliseconds of the cluster's clock.
    pub fn newest(&self) -> u64 {
        self.remembered.last_key_value().map_or(0, |(_, remembered)| remembered.at)
    }
}

/// The approximate memory footprint of a request id.
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
