//! A faulty storage that acknowledges a batch before it is on disk. The tests' checkers have to
//! detect it.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::replication::disk::{Batch, Installation};
use crate::replication::entry::Entry;
use crate::replication::snapshot::{Chunk, Cursor};
use crate::storage::{Failure, Storage};

/// A storage that acknowledges too early.
#[derive(Debug)]
pub(super) struct EarlyAck<S> {
    storage: Arc<S>,
    /// Keeps batches in order: each waits for the one before.
    order: Arc<Mutex<()>>,
}

impl<S> EarlyAck<S> {
    pub(super) fn new(storage: S) -> Self {
        Self { storage: Arc::new(storage), order: Arc::default() }
    }
}

impl<S: Storage> Storage for EarlyAck<S> {
    async fn persist(&self, batch: Batch) -> Result<(), Failure> {
        let order = Arc::clone(&self.order).lock_owned().await;
        let storage = Arc::clone(&self.storage);
        tokio::spawn(async move {
            let _order = order;
            storage.persist(batch).await
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

    async fn close(self) {
        drop(self.order.lock().await);
        if let Some(storage) = Arc::into_inner(self.storage) {
            storage.close().await;
        }
    }
}
