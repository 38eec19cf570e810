//! Storage on disk: the log, which is appended to continually, and the snapshot, into which it is
//! compacted now and then. They are separate, so that a compaction never delays an append.
//!
//! ```text
//! DIR/lock             held by the process that uses the directory
//! DIR/acknowledged     a note of how far the log is certainly on disk
//! DIR/reserve          space held back for when the disk is full
//! DIR/log/             ballot and entries that are not in the snapshot yet: one fsync per batch
//! DIR/life             how many times the directory was started from
//! DIR/snapshot.db      the records as of some entry: a SQLite database
//! DIR/discarded.jsonl  truncated writes, for inspection by people
//! ```
//!
//! A compaction takes two steps: the snapshot moves forward, then the log is trimmed. A crash in
//! between leaves entries in the log that the snapshot already has; the next start skips them.
//! Installing another node's snapshot works the same way: the snapshot says from which segment on
//! the log counts.

/// Metadata of the snapshot.
mod about;
/// A SQLite database: opening, checking and writing it.
mod database;
/// Errors of opening a data directory.
mod error;
/// File system operations.
mod files;
/// The starts of the data directory.
mod life;
/// The log on disk.
mod log;
/// Opens a data directory, or creates it.
mod open;
/// Rows with checksums.
mod row;
/// Small files that hold one value.
mod slots;
/// The snapshot on disk.
mod snapshot;
/// The snapshot's tables.
mod tables;
mod wal;

/// Crash tests: a crash after each step, and each step failing.
#[cfg(test)]
mod crashes;
/// Tests with truncated, blank or outdated files.
#[cfg(test)]
mod damaged;
#[cfg(test)]
mod tests;
/// A test file system: steps that fail, and power failures.
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

/// An open data directory.
#[derive(Debug)]
pub struct Disk {
    log: LogThread,
    snapshot: Mutex<SnapshotFile>,
    incarnation: Incarnation,
    usage: LogUsage,
    starts: Starts,
    /// Locked while the directory is open.
    _lock: File,
}

/// The log's disk usage.
#[derive(Debug, Clone, Default)]
pub struct LogUsage(Arc<Usage>);

impl LogUsage {
    /// The size of the log's files and of the space held for the next one, in bytes.
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

impl Disk {
    /// The id that this data directory was given when it was created. If an empty directory is
    /// created again for the same node, it gets another id.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The starts of the directory, which distinguish it from a restored copy.
    pub fn starts(&self) -> &Starts {
        &self.starts
    }

    /// The log's disk usage, updated as it changes.
    pub fn log_usage(&self) -> LogUsage {
        self.usage.clone()
    }

    /// Moves the snapshot forward. If there is no space for that, the log releases what it holds
    /// back; the compaction frees more.
    async fn advance_snapshot(&self, entries: &[Entry]) -> Result<(), Failure> {
        loop {
            match self.snapshot.lock().await.compact(entries).await {
                Err(Failure::Full) if self.log.run(LogFiles::give_room).await? => {}
                outcome => return outcome,
            }
        }
    }

    /// Replaces the snapshot with a state; on a full disk, as a compaction does.
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
        if let Err(failure) = self.advance_snapshot(&entries).await {
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
            let first_segment = log.begin_new_log()?;
            Ok::<_, Failure>((first_segment, log.keep_aside(&cut_off)?))
        };
        let (first_segment, kept) = self.log.run(begun).await?;
        if let Err(failure) = self.replace_snapshot(&state, first_segment).await {
            kept.take_back();
            self.log.run(LogFiles::reserve).await;
            return Err(failure);
        }
        self.log.run(move |log| log.finish_new_log(place, discarded)).await
    }

    fn is_short_of_room(&self) -> bool {
        self.usage.0.is_short()
    }

    async fn close(self) {
        self.log.close().await;
        self.snapshot.into_inner().close().await;
    }
}
