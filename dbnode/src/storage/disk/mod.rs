//! On disk: the log, which is appended to all the time, and the snapshot, into which it is compacted
//! now and then. Two places, so that compacting never stands in the way of an append.
//!
//! ```text
//! DIR/lock             held by the process that uses the directory
//! DIR/acknowledged     how far the log was surely on disk
//! DIR/reserve          room for when the disk is full
//! DIR/log/             ballot and entries that are not in the snapshot yet: one fsync a batch
//! DIR/life             how often the directory was started from
//! DIR/snapshot.db      the records as of some entry: a SQLite database
//! DIR/discarded.jsonl  writes that were cut off, for people to look at
//! ```
//!
//! A compaction is two steps: the snapshot moves on, then the log lets go. A crash in between leaves
//! entries in the log that the snapshot has already; the start skips them. So is the arrival of
//! somebody else's snapshot: it says from which segment on the log counts.

/// What the snapshot says about itself.
mod about;
/// One database: how it is opened, checked and written to.
mod database;
/// Why a data directory cannot be used.
mod error;
/// What is asked of the file system.
mod files;
/// How often it was started from.
mod life;
/// The log.
mod log;
/// The first start, and every other.
mod open;
/// A row and its checksum.
mod row;
/// A small file that holds one value.
mod slots;
/// The snapshot.
mod snapshot;
/// Its tables.
mod tables;
mod wal;

/// A crash after each step, and each step failing.
#[cfg(test)]
mod crashes;
/// What ends early, is blank, or is of another age.
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod tests;
/// Steps that fail, and power that is cut.
#[cfg(test)]
pub(crate) mod trial;

use std::fs::File;
use std::sync::Arc;

use tokio::sync::Mutex;

pub use error::OpenError;
pub use open::open;

use super::{Failure, Storage};
use crate::replication::disk::{Batch, Installation};
use crate::replication::entry::Entry;
use crate::replication::life::Starts;
use crate::replication::member::Incarnation;
use crate::replication::snapshot::{Chunk, Cursor};
use crate::replication::state::State;
use log::{LogFiles, LogThread, Usage};
use snapshot::SnapshotFile;

/// A data directory in use.
#[derive(Debug)]
pub struct Disk {
    log: LogThread,
    snapshot: Mutex<SnapshotFile>,
    incarnation: Incarnation,
    usage: LogUsage,
    starts: Starts,
    /// Locked as long as it is open.
    _lock: File,
}

/// How much room the log takes, for others to look at.
#[derive(Debug, Clone, Default)]
pub struct LogUsage(Arc<Usage>);

impl LogUsage {
    /// The log's files and the room held for the next one, in bytes.
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

impl Disk {
    /// The name that this data directory was given when it was made. An empty directory made
    /// again under the same node's name has another one.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// How often it was started from, and how to tell these starts from others.
    pub fn starts(&self) -> &Starts {
        &self.starts
    }

    /// How much room the log takes, now and later.
    pub fn log_usage(&self) -> LogUsage {
        self.usage.clone()
    }

    /// Brings the snapshot forward. When there is no room for that, the log gives up what it holds: it gets
    /// more back.
    async fn fold_into_snapshot(&self, entries: &[Entry]) -> Result<(), Failure> {
        loop {
            match self.snapshot.lock().await.compact(entries).await {
                Err(Failure::Full) if self.log.run(LogFiles::give_room).await? => {}
                outcome => return outcome,
            }
        }
    }

    /// Puts a state in the place of the snapshot, as a compaction does.
    async fn replace_snapshot(&self, state: &State, first_segment: u64) -> Result<(), Failure> {
        loop {
            match self.snapshot.lock().await.replace(state, first_segment).await {
                Err(Failure::Full) if self.log.run(LogFiles::give_room).await? => {}
                outcome => return outcome,
            }
        }
    }
}

impl Storage for Disk {
    async fn persist(&self, batch: Batch) -> Result<(), Failure> {
        self.log.run(|log| log.append(batch)).await
    }

    async fn compact(&self, entries: Vec<Entry>) -> Result<(), Failure> {
        let Some(up_to) = entries.last().map(|entry| entry.index) else { return Ok(()) };
        if let Err(failure) = self.fold_into_snapshot(&entries).await {
            self.log.run(LogFiles::reserve).await;
            return Err(failure);
        }
        self.log.run(move |log| log.trim(up_to)).await
    }

    async fn read_snapshot(&self, from: Cursor, bytes_max: usize) -> Result<Chunk, Failure> {
        self.snapshot.lock().await.chunk(from, bytes_max).await
    }

    async fn install(&self, Installation { state, cut_off }: Installation) -> Result<(), Failure> {
        let (place, discarded) = (state.log_id().index, cut_off.len() as u64);
        let begun = move |log: &mut LogFiles| {
            let first_segment = log.begin_anew()?;
            Ok::<_, Failure>((first_segment, log.keep_aside(&cut_off)?))
        };
        let (first_segment, kept) = self.log.run(begun).await?;
        if let Err(failure) = self.replace_snapshot(&state, first_segment).await {
            kept.take_back();
            self.log.run(LogFiles::reserve).await;
            return Err(failure);
        }
        self.log.run(move |log| log.begun_anew(place, discarded)).await
    }

    fn is_short_of_room(&self) -> bool {
        self.usage.0.is_short()
    }

    async fn close(self) {
        self.log.close().await;
        self.snapshot.into_inner().close().await;
    }
}
