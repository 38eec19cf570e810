//! A disk in memory, for tests. Its clones are the same disk: what one node stored is found by the
//! next.

use std::future::pending;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Failure, Storage};
use crate::replication::disk::{Batch, Installation, Recovered};
use crate::replication::entry::Entry;
use crate::replication::snapshot::{Chunk, Cursor, chunk_of};

/// A disk in memory.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    stored: Recovered,
    fault: Option<Fault>,
}

/// A fault of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is full.
    Full,
    /// Something other than disk space has run out.
    Short,
    /// It fails.
    Broken,
    /// It accepts operations and never completes them, so that a crash finds them in progress.
    Stuck,
}

impl Memory {
    /// What a node finds when it starts from this disk now. This counts as a start.
    pub fn recover(&self) -> Recovered {
        let mut disk = self.disk.lock();
        disk.stored.life += 1;
        disk.stored.clone()
    }

    /// Sets or clears the disk's fault.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.disk.lock().fault = fault;
    }

    async fn check(&self) -> Result<(), Failure> {
        let fault = self.disk.lock().fault;
        match fault {
            None => Ok(()),
            Some(Fault::Full) => Err(Failure::Full),
            Some(Fault::Short) => Err(Failure::Short("there are too few".into())),
            Some(Fault::Broken) => Err(Failure::Broken("the disk was told to fail".into())),
            Some(Fault::Stuck) => pending().await,
        }
    }
}

impl Storage for Memory {
    async fn persist(&self, batch: Batch) -> Result<(), Failure> {
        self.check().await?;
        self.disk.lock().stored.store(batch);
        Ok(())
    }

    async fn compact(&self, entries: Vec<Entry>) -> Result<(), Failure> {
        self.check().await?;
        self.disk.lock().stored.compact(&entries);
        Ok(())
    }

    async fn read_snapshot(&self, from: Cursor, bytes_max: usize) -> Result<Chunk, Failure> {
        self.check().await?;
        Ok(chunk_of(&self.disk.lock().stored.snapshot, &from, bytes_max))
    }

    async fn install(&self, installation: Installation) -> Result<(), Failure> {
        self.check().await?;
        self.disk.lock().stored.install(&installation);
        Ok(())
    }

    async fn close(self) {}
}
