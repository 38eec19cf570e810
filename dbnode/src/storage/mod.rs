//! Where ballot, log and snapshot are kept, so that they are there after a crash.
//!
//! What is promised: when `persist` has returned, its batch survives; when it says "full", nothing
//! of it is there. `compact` moves the oldest entries from the log into the snapshot and changes
//! nothing that a restart would see.

/// On disk.
pub mod disk;
/// The records a node begins with.
pub mod import;
/// In memory, for tests. It can lose what was not confirmed.
pub mod memory;

use std::future::Future;

use crate::replication::disk::{Batch, Installation};
use crate::replication::entry::Entry;
use crate::replication::snapshot::{Chunk, Cursor};

/// Where ballot, log and snapshot are kept. One of each may be under way at a time, and nothing
/// else while a snapshot is installed.
pub trait Storage: Send + Sync + 'static {
    /// Writes a batch, all or nothing. It is on disk when this returns.
    fn persist(&self, batch: Batch) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Moves entries, the oldest of the log, into the snapshot.
    fn compact(&self, entries: Vec<Entry>) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Reads a piece of the snapshot: it ends with the record that exceeds this size, in bytes.
    fn read_snapshot(
        &self,
        from: Cursor,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Chunk, Failure>> + Send;

    /// Puts a state in the place of the snapshot, and empties the log.
    fn install(&self, installation: Installation) -> impl Future<Output = Result<(), Failure>> + Send;

    /// True while there is so little room left that the log had better be compacted soon.
    fn is_short_of_room(&self) -> bool {
        false
    }

    /// Closes it, so that the next start is quick. Nothing is lost without it.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Why something was not stored.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no room. Nothing was stored, and there may be room later.
    #[error("there is no room on the disk")]
    Full,
    /// Something other than the disk has run out, of this process or this computer: files, memory,
    /// threads. Nothing was stored, and it may be there again later.
    #[error("something other than the disk has run out")]
    Short(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything else. What is on the disk is not known any more, and asking again would not help:
    /// after a failed fsync a later one may succeed without having written anything.
    #[error("the disk failed")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}
