//! The replicated state, as of the last applied entry. All of it is committed, so it is never
//! rolled back.

#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::entry::{Change, Entry, LogId};
use super::key::Key;
use super::life::Start;
use super::member::Membership;
use super::requests::Requests;
use super::snapshot::AboutSnapshot;
use dbclient::Version;

/// The replicated state, as of the last applied entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    records: BTreeMap<Key, Record>,
    requests: Requests,
    about: AboutSnapshot,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The record's value.
    pub value: Bytes,
    /// The record's version, given by the entry that wrote it.
    pub version: Version,
    /// The data page that holds the record. Pages are numbered as new keys appear, so the numbers
    /// are dense, and a record never moves.
    pub page: u64,
}

impl State {
    /// Restores a state that was found on disk.
    pub fn recovered(records: BTreeMap<Key, Record>, requests: Requests, about: AboutSnapshot) -> Self {
        Self { records, requests, about }
    }

    /// Applies the next entry. This cannot fail: everything that could was decided before it was
    /// logged.
    pub fn apply(&mut self, entry: &Entry) {
        assert_eq!(entry.index, self.applied() + 1, "entries are applied in order, without gaps");
        self.about.follow(entry);
        if let Some(stamp) = entry.stamp() {
            self.requests.forget(stamp.forgets);
            entry.named().iter().for_each(|named| self.requests.remember(named));
        }
        let Some(write) = entry.write() else { return };
        match &write.change {
            Change::Put { value, page } => {
                let record = Record { value: value.clone(), version: entry.version(), page: *page };
                self.records.insert(write.key.clone(), record);
            }
            Change::Delete => {
                self.records.remove(write.key.as_str());
            }
        }
    }

    /// Looks up a record.
    pub fn get(&self, key: &str) -> Option<&Record> {
        self.records.get(key)
    }

    /// The records whose key begins with `prefix`, in order, starting after `after`.
    pub fn scan<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Record)> {
        self.records
            .range::<str, _>((begin(prefix, after), Bound::Unbounded))
            .take_while(move |(key, _)| key.as_str().starts_with(prefix))
    }

    /// The remembered writes with a request id.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True if there are no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The last entry applied.
    pub fn applied(&self) -> u64 {
        self.about.place.index
    }

    /// The last entry applied, with its term.
    pub fn log_id(&self) -> LogId {
        self.about.place
    }

    /// The cluster's members; `None` until a cluster is formed.
    pub fn membership(&self) -> Option<&Membership> {
        self.about.membership.as_ref()
    }

    /// The number of data pages; they are numbered from 0.
    pub fn pages(&self) -> u64 {
        self.about.pages
    }

    /// The newest known start of a member's data directory; `None` if none is known.
    pub fn start(&self, name: &str) -> Option<Start> {
        self.about.starts.get(name).map(|acting| acting.start)
    }

    /// The index of the entry since which that start acts under the member's name; 0 if there is
    /// none.
    pub fn acts_since(&self, name: &str) -> u64 {
        self.about.starts.get(name).map_or(0, |acting| acting.since)
    }

    /// The metadata for a snapshot of this state.
    pub fn about(&self) -> &AboutSnapshot {
        &self.about
    }
}

/// Where a scan begins. If both are empty, excluding the empty text excludes nothing, because it is
/// not a valid key.
pub(super) fn begin<'a>(prefix: &'a str, after: &'a str) -> Bound<&'a str> {
    if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::entry::{Payload, Write};

    fn put(index: u64, key: &str) -> Entry {
        entry(index, key, Change::Put { value: "x".into(), page: index - 1 })
    }

    fn entry(index: u64, key: &str, change: Change) -> Entry {
        let key = Key::new(key).unwrap();
        Entry { index, term: 1, payload: Payload::Write(Write { key, change, request: None }) }
    }

    #[test]
    fn a_record_made_again_has_a_version_that_was_never_there() {
        let mut state = State::default();
        for entry in [put(1, "a"), entry(2, "a", Change::Delete), put(3, "a")] {
            state.apply(&entry);
        }
        assert_eq!(state.get("a").unwrap().version, Version::of(1, 3));
        assert_eq!(state.pages(), 3);
    }

    #[test]
    fn a_scan_stays_within_its_prefix_and_goes_on_after_a_key() {
        let mut state = State::default();
        for (index, key) in (1..).zip(["a", "b/1", "b/2", "b/3", "c"]) {
            state.apply(&put(index, key));
        }
        let scan = |prefix, after| state.scan(prefix, after).map(|(key, _)| key.as_str()).collect::<Vec<_>>();
        assert_eq!(scan("b/", ""), ["b/1", "b/2", "b/3"]);
        assert_eq!(scan("b/", "b/1"), ["b/2", "b/3"]);
        assert_eq!(scan("", ""), ["a", "b/1", "b/2", "b/3", "c"]);
        assert_eq!(scan("b/", "c"), [""; 0]);
    }
}
