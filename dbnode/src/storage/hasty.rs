//! A bug put in on purpose: a storage that says "on disk" when the disk has only been asked. A
//! checker that claims to find lost writes must find what this loses.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;

use super::{Failure, Storage};
use crate::replication::disk::{Batch, Installation};
use crate::replication::entry::Entry;
use crate::replication::snapshot::{Chunk, Cursor};

/// The environment variable that turns the bug on in a node built with `planted-bugs`.
const VARIABLE: &str = "DBNODE_TEST_ACK_BEFORE_SYNC";

/// What a killed process has handed to the system is not lost: so it is handed over late, and a kill finds
/// something on its way however fast the disk is.
const LATE: Duration = Duration::from_millis(3);

/// A storage that may say "on disk" too early.
#[derive(Debug)]
pub struct Hasty<S> {
    storage: Arc<S>,
    /// The order is kept, at least: the one before has to be there.
    order: Arc<Mutex<()>>,
    says: Says,
    /// How long the disk is not even asked.
    late: Duration,
}

/// When "on disk" is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    TooEarly,
    InTime,
}

impl<S> Hasty<S> {
    /// A storage that says it too early.
    pub fn new(storage: S) -> Self {
        Self { storage: Arc::new(storage), order: Arc::default(), says: Says::TooEarly, late: Duration::ZERO }
    }

    /// The same when the environment asks for it, and otherwise one without the bug.
    pub fn if_asked(storage: S) -> Self {
        let says = if std::env::var_os(VARIABLE).is_some() { Says::TooEarly } else { Says::InTime };
        Self { says, late: LATE, ..Self::new(storage) }
    }
}

impl<S: Storage> Storage for Hasty<S> {
    async fn persist(&self, batch: Batch) -> Result<(), Failure> {
        let order = Arc::clone(&self.order).lock_owned().await;
        let storage = Arc::clone(&self.storage);
        let persisting = async move {
            let _order = order;
            storage.persist(batch).await
        };
        if self.says == Says::InTime {
            return persisting.await;
        }
        let late = self.late;
        tokio::spawn(async move {
            if !late.is_zero() {
                sleep(late).await;
            }
            persisting.await
        });
        Ok(())
    }

    async fn compact(&self, entries: Vec<Entry>) -> Result<(), Failure> {
        let _order = self.order.lock().await;
        self.storage.compact(entries).await
    }

    async fn read_snapshot(&self, from: Cursor, bytes_max: usize) -> Result<Chunk, Failure> {
        self.storage.read_snapshot(from, bytes_max).await
    }

    async fn install(&self, installation: Installation) -> Result<(), Failure> {
        let _order = self.order.lock().await;
        self.storage.install(installation).await
    }

    fn is_short_of_room(&self) -> bool {
        self.storage.is_short_of_room()
    }

    async fn close(self) {
        drop(self.order.lock().await);
        if let Some(storage) = Arc::into_inner(self.storage) {
            storage.close().await;
        }
    }
}
