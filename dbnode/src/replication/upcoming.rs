//! A speculative overlay on the state: its content once some entries that are not applied yet have
//! been applied. New writes are decided against it, and `async` mode shows it before the entries
//! are committed. To roll entries back, drop the overlay; the state itself never had them.

#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::entry::{self, Change, Entry, Stamp};
use super::input::RequestId;
use super::key::Key;
use super::requests::Remembered;
use super::state::{Record, State, begin};
use dbclient::Version;

/// The changes of entries that are not applied yet.
#[derive(Debug, Default)]
pub struct Upcoming {
    /// By key, the newest change to the record.
    records: BTreeMap<Key, (Version, Change)>,
    requests: BTreeMap<RequestId, Remembered>,
    /// The number of data pages, if these entries add some.
    pages: u64,
    /// The stamp of the newest write with a request id.
    stamp: Stamp,
}

/// The parameters for remembering request ids.
#[derive(Debug, Clone, Copy)]
pub struct Naming {
    /// The cluster's clock, in milliseconds.
    pub now: u64,
    /// How long a request id is remembered, in milliseconds.
    pub window: u64,
    /// Maximum memory for request ids, in bytes.
    pub bytes_max: usize,
}

/// A record in the overlay.
#[derive(Debug, Clone, Copy)]
pub struct UpcomingRecord<'a> {
    /// The record's value.
    pub value: &'a Bytes,
    /// The record's version, given by the entry that wrote it.
    pub version: Version,
    /// The data page that holds it.
    pub page: u64,
}

impl Upcoming {
    /// Adds an entry that was appended to the log.
    pub fn add(&mut self, entry: &Entry) {
        let Some(entry::Write { key, change, .. }) = entry.write() else { return };
        self.records.insert(key.clone(), (entry.version(), change.clone()));
        if let Change::Put { page, .. } = change {
            self.pages = self.pages.max(page.saturating_add(1));
        }
        if let Some(named) = entry.named() {
            self.requests.insert(named.request.id.clone(), Remembered::new(&named));
            self.stamp = entry.stamp().unwrap_or_default();
        }
    }

    /// Drops an entry that was applied to the state.
    pub fn applied(&mut self, entry: &Entry) {
        let Some(write) = entry.write() else { return };
        let key = write.key.as_str();
        if self.records.get(key).is_some_and(|(version, _)| *version == entry.version()) {
            self.records.remove(key);
        }
        if let Some(request) = &write.request {
            self.requests.remove(&request.id);
        }
    }

    /// Drops all entries, when they were rolled back.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Looks up a record, with the pending changes applied.
    pub fn record<'a>(&'a self, state: &'a State, key: &str) -> Option<UpcomingRecord<'a>> {
        match self.records.get(key) {
            Some((_, Change::Delete)) => None,
            Some((version, Change::Put { value, page })) => {
                Some(UpcomingRecord { value, version: *version, page: *page })
            }
            None => {
                let record = state.get(key)?;
                Some(UpcomingRecord { value: &record.value, version: record.version, page: record.page })
            }
        }
    }

    /// The records whose key begins with `prefix`, in order, starting after `after`, with the
    /// pending changes applied.
    pub fn scan<'a>(
        &'a self,
        state: &'a State,
        prefix: &'a str,
        after: &'a str,
    ) -> impl Iterator<Item = (&'a Key, Record)> {
        let changed = self.records.range::<str, _>((begin(prefix, after), Bound::Unbounded));
        let mut changed = changed.take_while(move |(key, _)| key.as_str().starts_with(prefix)).peekable();
        let mut settled = state.scan(prefix, after).peekable();
        std::iter::from_fn(move || {
            loop {
                let next = match (settled.peek(), changed.peek()) {
                    (Some((one, _)), Some((other, _))) if one < other => settled.next(),
                    (_, None) => settled.next(),
                    _ => None,
                };
                if let Some((key, record)) = next {
                    return Some((key, record.clone()));
                }
                let (key, (version, change)) = changed.next()?;
                settled.next_if(|(settled, _)| *settled == key);
                if let Change::Put { value, page } = change {
                    return Some((key, Record { value: value.clone(), version: *version, page: *page }));
                }
            }
        })
    }

    /// The page for a new record.
    pub fn next_page(&self, state: &State) -> u64 {
        self.pages.max(state.pages())
    }

    /// Looks up a write by its request id, applied or pending.
    pub fn request<'a>(&'a self, state: &'a State, id: &str) -> Option<&'a Remembered> {
        self.requests.get(id).or_else(|| state.requests().get(id))
    }

    /// The time of the newest write with a request id, in milliseconds of the cluster's clock.
    pub fn newest(&self, state: &State) -> u64 {
        self.stamp.at.max(state.requests().newest())
    }

    /// The stamp for a write with a request id made now; `None` if there is no memory for another
    /// id.
    pub fn stamp(&self, state: &State, naming: &Naming) -> Option<Stamp> {
        let at = naming.now.max(self.newest(state));
        let before = at.saturating_sub(naming.window);
        let forgets = state.requests().expired(self.stamp.forgets, before);
        let has_room = state.requests().bytes() < naming.bytes_max || forgets > self.stamp.forgets;
        has_room.then_some(Stamp { at, forgets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::entry::{Payload, Write};

    fn entry(index: u64, key: &str, change: Change) -> Entry {
        let key = Key::new(key).unwrap();
        Entry { index, term: 1, payload: Payload::Write(Write { key, change, request: None }) }
    }

    fn put(index: u64, key: &str, value: &'static str) -> Entry {
        entry(index, key, Change::Put { value: value.into(), page: 0 })
    }

    #[test]
    fn a_scan_sees_what_will_be_changed_added_and_gone() {
        let mut state = State::default();
        for (index, key) in (1..).zip(["a", "b", "d", "e"]) {
            state.apply(&put(index, key, "old"));
        }
        let mut upcoming = Upcoming::default();
        for entry in
            [put(5, "b", "new"), put(6, "c", "new"), entry(7, "d", Change::Delete), put(8, "f", "new")]
        {
            upcoming.add(&entry);
        }
        let found: Vec<_> =
            upcoming.scan(&state, "", "a").map(|(key, it)| (key.as_str(), it.value)).collect();
        let (old, new) = (Bytes::from("old"), Bytes::from("new"));
        assert_eq!(found, [("b", new.clone()), ("c", new.clone()), ("e", old), ("f", new)]);
    }
}
