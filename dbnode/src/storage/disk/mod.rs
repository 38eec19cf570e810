//! On disk: the log, which is appended to all the time, and the snapshot, into which it is folded
//! now and then. Two places, so that folding never stands in the way of an append.
//!
//! ```text
//! DIR/lock             held by the process that uses the directory
//! DIR/log/             ballot and entries that are not in the snapshot yet: one fsync a batch
//! DIR/life             how often the directory was started from
//! DIR/snapshot.db      the records as of some entry: a SQLite database
//! DIR/discarded.jsonl  writes that were cut off, for people to look at
//! ```
//!
//! A fold is two steps: the snapshot moves on, then the log lets go. A crash in between leaves
//! entries in the log that the snapshot has already; the start skips them. So is the arrival of
//! somebody else's snapshot: it says from which segment on the log counts.

/// What the snapshot says about itself.
mod about;
/// One database: how it is opened, checked and written to.
mod database;
/// Why a data directory cannot be used.
mod error;
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
/// What SQLite does not tell: whether its write-ahead log was damaged ◇.
mod wal;

#[cfg(test)]
mod tests;

use std::fs::File;

use tokio::sync::Mutex;

pub use error::OpenError;
pub use open::open;

use self::database::failure;
use super::{Failure, Storage};
use crate::replication::disk::{Batch, Installation};
use crate::replication::entry::Entry;
use crate::replication::life::Starts;
use crate::replication::member::Incarnation;
use crate::replication::snapshot::{Chunk, Cursor};
use log::LogThread;
use snapshot::SnapshotFile;

/// A data directory in use.
#[derive(Debug)]
pub struct Disk {
    log: LogThread,
    snapshot: Mutex<SnapshotFile>,
    incarnation: Incarnation,
    starts: Starts,
    /// Locked as long as it is open.
    _lock: File,
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
}

impl Storage for Disk {
    async fn persist(&self, batch: Batch) -> Result<(), Failure> {
        self.log.run(|log| log.append(batch)).await
    }

    async fn fold(&self, entries: Vec<Entry>) -> Result<(), Failure> {
        let Some(up_to) = entries.last().map(|entry| entry.index) else { return Ok(()) };
        self.snapshot.lock().await.fold(&entries).await.map_err(failure)?;
        self.log.run(move |log| log.trim(up_to)).await
    }

    async fn read_snapshot(&self, from: Cursor, bytes_max: usize) -> Result<Chunk, Failure> {
        self.snapshot.lock().await.chunk(from, bytes_max).await
    }

    async fn install(&self, Installation { state, cut_off }: Installation) -> Result<(), Failure> {
        let first_segment = self.log.run(move |log| log.begin_anew(&cut_off)).await?;
        self.snapshot.lock().await.replace(&state, first_segment).await.map_err(failure)?;
        self.log.run(log::LogFiles::drop_before).await
    }

    async fn close(self) {
        self.log.close().await;
        self.snapshot.into_inner().close().await;
    }
}
