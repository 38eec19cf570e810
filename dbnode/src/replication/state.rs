//! The records, as of the last entry applied. Everything in here is committed: it is never taken back.

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

/// The records, as of the last entry applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    records: BTreeMap<Key, Record>,
    requests: Requests,
    about: AboutSnapshot,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What was put.
    pub value: Bytes,
    /// The entry that put it.
    pub version: Version,
    /// The page of data it lies on. They are counted up as keys appear, so that they are dense
    /// and a record stays where it is.
    pub page: u64,
}

impl State {
    /// A state as it was found on disk.
    pub fn recovered(records: BTreeMap<Key, Record>, requests: Requests, about: AboutSnapshot) -> Self {
        Self { records, requests, about }
    }

    /// Applies the next entry. It cannot fail: what could has been decided before it was logged.
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

    /// A record.
    pub fn get(&self, key: &str) -> Option<&Record> {
        self.records.get(key)
    }

    /// The records whose key begins with `prefix`, in order, beginning after `after`.
    pub fn scan<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Record)> {
        self.records
            .range::<str, _>((begin(prefix, after), Bound::Unbounded))
            .take_while(move |(key, _)| key.as_str().starts_with(prefix))
    }

    /// The writes that had a name.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True when there are no records.
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

    /// Who belongs to the cluster; nobody, while there is none.
    pub fn membership(&self) -> Option<&Membership> {
        self.about.membership.as_ref()
    }

    /// How many pages of data there are: they are numbered from 0.
    pub fn pages(&self) -> u64 {
        self.about.pages
    }

    /// The newest start of a member's data directory that is known; none, when none ever was.
    pub fn start(&self, name: &str) -> Option<Start> {
        self.about.starts.get(name).map(|acting| acting.start)
    }

    /// Since which entry it acts under that name; 0 when none says so.
    pub fn acts_since(&self, name: &str) -> u64 {
        self.about.starts.get(name).map_or(0, |acting| acting.since)
    }

    /// What a snapshot of it is.
    pub fn about(&self) -> &AboutSnapshot {
        &self.about
    }
}

/// Where a scan begins. Without both there is nothing to begin after: the empty text is no key.
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
