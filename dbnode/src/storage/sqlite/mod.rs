//! On disk, in two SQLite databases: the log, which is appended to all the time, and the snapshot,
//! into which the log is folded now and then. Two, so that folding never stands in the way of an
//! append.
//!
//! ```text
//! DIR/lock         held by the process that uses the directory
//! DIR/log.db       the entries that are not in the snapshot yet
//! DIR/snapshot.db  the records as of some entry
//! ```
//!
//! A fold is two steps: the snapshot moves on, then the log lets go. A crash in between leaves
//! entries in the log that the snapshot has already; the start skips them, the next fold removes them.

/// What a database says about itself.
mod about;
/// One database: how it is opened, checked and written to.
mod database;
/// Why a data directory cannot be used.
mod error;
/// The log.
mod log_file;
/// The first start, and every other.
mod open;
/// A row and its checksum.
mod row;
/// The snapshot.
mod snapshot_file;
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
use crate::replication::entry::Entry;
use log_file::LogFile;
use snapshot_file::SnapshotFile;

/// Rows that leave the log at a time: an append in between does not wait long.
const TRIM_ROWS: usize = 4_000;

/// A data directory in use.
#[derive(Debug)]
pub struct Sqlite {
    log: Mutex<LogFile>,
    snapshot: Mutex<SnapshotFile>,
    incarnation: String,
    /// Locked as long as it is open.
    _lock: File,
}

impl Sqlite {
    /// The name that this data directory was given when it was made. An empty directory made
    /// again under the same node's name has another one.
    pub fn incarnation(&self) -> &str {
        &self.incarnation
    }
}

impl Storage for Sqlite {
    async fn append(&self, entries: Vec<Entry>) -> Result<(), Failure> {
        self.log.lock().await.append(&entries).await.map_err(failure)
    }

    async fn fold(&self, entries: Vec<Entry>) -> Result<(), Failure> {
        self.snapshot.lock().await.fold(&entries).await.map_err(failure)?;
        for some in entries.chunks(TRIM_ROWS) {
            let last = some.last().expect("a chunk is not empty");
            self.log.lock().await.trim(last.index).await.map_err(failure)?;
        }
        Ok(())
    }

    async fn close(self) {
        self.log.into_inner().close().await;
        self.snapshot.into_inner().close().await;
    }
}
