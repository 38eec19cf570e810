//! Snapshots, sent from one node to another in chunks.

#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entry::{Change, Entry, LogId, Payload, Write};
use super::key::Key;
use super::life::Acting;
use super::member::{Incarnation, Membership, Name};
use super::requests::{Named, Requests};
use super::state::{Record, State};
use dbclient::Version;

/// A chunk of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The snapshot's metadata, the same in all of its chunks.
    pub about: AboutSnapshot,
    /// Where this chunk begins.
    pub from: Cursor,
    /// Records, in key order.
    pub records: Vec<(Key, Record)>,
    /// Remembered writes with a request id, in version order.
    pub requests: Vec<Named>,
    /// Where the next chunk begins; `None` if this is the last.
    pub next: Option<Cursor>,
}

/// The metadata of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AboutSnapshot {
    /// The last entry in it.
    pub place: LogId,
    /// The number of data pages ever allocated.
    pub pages: u64,
    /// The cluster's members.
    pub membership: Option<Membership>,
    /// The newest known start of each member's data directory. Earlier versions knew none.
    #[serde(default)]
    pub starts: BTreeMap<Name, Acting>,
}

impl Chunk {
    /// An empty chunk that begins here; it is the last unless `next` is set.
    pub fn new(about: AboutSnapshot, from: Cursor) -> Self {
        Self { about, from, records: Vec::new(), requests: Vec::new(), next: None }
    }
}

impl AboutSnapshot {
    /// The metadata for a snapshot of this state.
    pub fn of(state: &State) -> Self {
        state.about().clone()
    }

    /// Updates the metadata for one more entry.
    pub fn follow(&mut self, entry: &Entry) {
        self.place = entry.log_id();
        if let Some(Write { change: Change::Put { page, .. }, .. }) = entry.write() {
            self.pages = self.pages.max(page.saturating_add(1));
        }
        match &entry.payload {
            Payload::Bootstrap(membership) => self.membership = Some(membership.clone()),
            Payload::AddMember { name, incarnation } => {
                self.acts(name, *incarnation);
                self.starts.remove(name);
            }
            Payload::Start { name, incarnation, start } => {
                self.acts(name, *incarnation);
                self.starts.insert(name.clone(), Acting { start: *start, since: entry.index });
            }
            Payload::Write(_) | Payload::Named(..) | Payload::NoOp => {}
        }
    }

    fn acts(&mut self, name: &Name, incarnation: Incarnation) {
        if let Some(membership) = &mut self.membership {
            membership.members.insert(name.clone(), incarnation);
        }
    }
}

/// A position in a snapshot: records come first, then remembered writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cursor {
    /// The first record after this key; `None` for the very first.
    Records(Option<Key>),
    /// The first remembered write after this version.
    Requests(Version),
}

impl Cursor {
    /// The beginning of a snapshot.
    pub const START: Self = Self::Records(None);
}

/// A replica's confirmation that it has a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The last entry in the snapshot.
    pub place: LogId,
    /// Where the chunk begins.
    pub from: Cursor,
}

/// A snapshot that is being received.
#[derive(Debug)]
pub struct Arriving {
    about: AboutSnapshot,
    /// Where the next chunk begins.
    next: Cursor,
    records: BTreeMap<Key, Record>,
    requests: Requests,
}

impl Arriving {
    /// A snapshot of which nothing has arrived yet.
    pub fn new(about: AboutSnapshot) -> Self {
        Self { about, next: Cursor::START, records: BTreeMap::new(), requests: Requests::default() }
    }

    /// True if this is the next chunk.
    pub fn expects(&self, chunk: &Chunk) -> bool {
        self.next == chunk.from && self.about == chunk.about
    }

    /// Adds the next chunk.
    pub fn take(&mut self, chunk: Chunk) {
        if let Some(next) = chunk.next {
            self.next = next;
        }
        self.records.extend(chunk.records);
        chunk.requests.iter().for_each(|named| self.requests.remember(named));
    }

    /// Assembles the state after the last chunk.
    pub fn finish(self) -> State {
        State::recovered(self.records, self.requests, self.about)
    }
}

/// Reads a chunk from a state in memory; it ends with the record or remembered write that exceeds
/// this size.
pub fn chunk_of(state: &State, from: &Cursor, bytes_max: usize) -> Chunk {
    let mut chunk = Chunk::new(state.about().clone(), from.clone());
    let mut bytes = 0;
    let mut requests_after = Version(0);
    match from {
        Cursor::Records(after) => {
            for (key, record) in state.scan("", after.as_ref().map_or("", Key::as_str)) {
                if bytes >= bytes_max {
                    chunk.next = chunk.records.last().map(|(key, _)| Cursor::Records(Some(key.clone())));
                    return chunk;
                }
                bytes += key.as_str().len() + record.value.len() + 32;
                chunk.records.push((key.clone(), record.clone()));
            }
        }
        Cursor::Requests(after) => requests_after = *after,
    }
    for named in state.requests().after(requests_after) {
        if bytes >= bytes_max {
            let last = chunk.requests.last().map_or(requests_after, |named| named.version);
            chunk.next = Some(Cursor::Requests(last));
            return chunk;
        }
        bytes += named.bytes_in_chunk();
        chunk.requests.push(named);
    }
    chunk
}
