//! Where the log and the snapshot are kept, so that they are there after a crash.
//!
//! What is promised: when `append` has returned, its entries survive; when it says
//! "full", none of them is there. `fold` moves the oldest entries from the
//! log into the snapshot and changes nothing that a restart would see.

/// A bug, for checkers to find.
#[cfg(any(test, feature = "planted-bugs"))]
pub mod hasty;
/// The records a node begins with.
pub mod import;
/// In memory, for tests and simulations. It can lose what was not confirmed.
pub mod memory;
/// On disk.
pub mod sqlite;

use std::future::Future;

use crate::replication::entry::Entry;
use crate::replication::state::State;

/// Where the log and the snapshot are kept. One append and one fold may be under way at a time.
pub trait Storage: Send + Sync + 'static {
    /// Appends entries to the log, all or none. They are on disk when it returns.
    fn append(&self, entries: Vec<Entry>) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Moves entries, the oldest of the log, into the snapshot.
    fn fold(&self, entries: Vec<Entry>) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Closes it, so that the next start is quick. Nothing is lost without it.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// What was found at start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// The snapshot.
    pub snapshot: State,
    /// The log that follows it.
    pub entries: Vec<Entry>,
}

/// Why something was not stored.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no room. Nothing was stored, and there may be room later.
    #[error("there is no room on the disk")]
    Full,
    /// Anything else. What is on the disk is not known any more, and asking again would not help:
    /// after a failed fsync a later one may succeed without having written anything.
    #[error("the disk failed")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}
