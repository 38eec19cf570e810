//! A snapshot in pieces, on its way from one node to another.

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

/// A piece of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// What the whole snapshot is. The same in all of its pieces.
    pub about: AboutSnapshot,
    /// Where this piece begins.
    pub from: Cursor,
    /// Records.
    pub records: Vec<(Key, Record)>,
    /// Named writes, in their order.
    pub requests: Vec<Named>,
    /// Where the next piece begins; none when this is the last.
    pub next: Option<Cursor>,
}

/// What a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AboutSnapshot {
    /// The last entry in it.
    pub place: LogId,
    /// How many pages of data there have been.
    pub pages: u64,
    /// Who belongs to the cluster.
    pub membership: Option<Membership>,
    /// The newest start of each member's data directory that is known. Earlier versions knew none.
    #[serde(default)]
    pub starts: BTreeMap<Name, Acting>,
}

impl Chunk {
    /// An empty piece that begins here, and is the last unless more is said.
    pub fn new(about: AboutSnapshot, from: Cursor) -> Self {
        Self { about, from, records: Vec::new(), requests: Vec::new(), next: None }
    }
}

impl AboutSnapshot {
    /// What a snapshot of a state is.
    pub fn of(state: &State) -> Self {
        state.about().clone()
    }

    /// What it is with one more entry.
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

/// A place in a snapshot: first come the records, then the named writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cursor {
    /// At the first record after this key; at the first of all, without.
    Records(Option<Key>),
    /// At the first named write after this version.
    Requests(Version),
}

impl Cursor {
    /// Where it begins.
    pub const START: Self = Self::Records(None);
}

/// A replica's word that it has a piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The last entry in the snapshot.
    pub place: LogId,
    /// Where the piece begins.
    pub from: Cursor,
}

/// A snapshot that arrives.
#[derive(Debug)]
pub struct Arriving {
    about: AboutSnapshot,
    /// Where the next piece begins.
    next: Cursor,
    records: BTreeMap<Key, Record>,
    requests: Requests,
}

impl Arriving {
    /// Nothing of it has arrived.
    pub fn new(about: AboutSnapshot) -> Self {
        Self { about, next: Cursor::START, records: BTreeMap::new(), requests: Requests::default() }
    }

    /// True when this is the piece that comes next.
    pub fn expects(&self, chunk: &Chunk) -> bool {
        self.next == chunk.from && self.about == chunk.about
    }

    /// Takes the next piece.
    pub fn take(&mut self, chunk: Chunk) {
        if let Some(next) = chunk.next {
            self.next = next;
        }
        self.records.extend(chunk.records);
        chunk.requests.iter().for_each(|named| self.requests.remember(named));
    }

    /// All of it has arrived.
    pub fn finish(self) -> State {
        State::recovered(self.records, self.requests, self.about)
    }
}

/// A piece of a state in memory: it ends with the record, or the named write, that exceeds this size.
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
        bytes += named.request.id.len() + 32;
        chunk.requests.push(named);
    }
    chunk
}
