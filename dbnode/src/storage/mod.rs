//! Durable storage for the ballot, the log and the snapshot.
//!
//! The guarantees: once `persist` has returned, its batch survives a crash; if it returns
//! [`Failure::Full`](crate::storage::Failure::Full), no part of the batch is stored. `compact` moves
//! the oldest entries from the log into the snapshot, and changes nothing that a restart would see.

/// Storage in a data directory.
pub mod disk;
/// The records a new node begins with.
pub mod import;
/// Storage in memory, for tests. It can lose what was not confirmed.
pub mod memory;

use std::future::Future;

use crate::replication::disk::{Batch, Installation};
use crate::replication::entry::Entry;
use crate::replication::snapshot::{Chunk, Cursor};

/// Durable storage for the ballot, the log and the snapshot. At most one operation of each kind may
/// be in progress, and no other while a snapshot is installed.
pub trait Storage: Send + Sync + 'static {
    /// Writes a batch atomically. It is on disk when this returns.
    fn persist(&self, batch: Batch) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Moves entries, the oldest of the log, into the snapshot.
    fn compact(&self, entries: Vec<Entry>) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Reads a chunk of the snapshot, which ends with the record that exceeds this size in bytes.
    fn read_snapshot(
        &self,
        from: Cursor,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Chunk, Failure>> + Send;

    /// Replaces the snapshot with a received one, and empties the log.
    fn install(&self, installation: Installation) -> impl Future<Output = Result<(), Failure>> + Send;

    /// True while so little space is left that the log should be compacted soon.
    fn is_short_of_room(&self) -> bool {
        false
    }

    /// Closes the storage, so that the next start is quick. Nothing is lost without it.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The disk is full. Nothing was stored, and a retry may succeed later.
    #[error("the disk is full")]
    Full,
    /// This process or computer has run out of something other than disk space: files, memory or
    /// threads. Nothing was stored, and a retry may succeed later.
    #[error("this process or computer is short of files, memory or threads")]
    Short(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Any other error. The content of the disk is no longer known, and a retry would not help:
    /// after a failed fsync, a later one may succeed without having written anything.
    #[error("the disk failed")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}
