//! A bug put in on purpose: a storage that says "on disk" when the disk has only been asked. A
//! checker that claims to find lost writes must find what this loses.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Failure, Storage};
use crate::replication::entry::Entry;

/// The environment variable that turns the bug on in a node built with `planted-bugs`.
const VARIABLE: &str = "DBNODE_TEST_ACK_BEFORE_SYNC";

/// A storage that may say "on disk" too early.
#[derive(Debug)]
pub struct Hasty<S> {
    storage: Arc<Mutex<S>>,
    says: Says,
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
        Self { storage: Arc::new(Mutex::new(storage)), says: Says::TooEarly }
    }

    /// The same when the environment asks for it, and otherwise one without the bug.
    pub fn if_asked(storage: S) -> Self {
        let says = if std::env::var_os(VARIABLE).is_some() { Says::TooEarly } else { Says::InTime };
        Self { says, ..Self::new(storage) }
    }
}

impl<S: Storage> Storage for Hasty<S> {
    async fn append(&self, entries: Vec<Entry>) -> Result<(), Failure> {
        // The order is kept, at least: the one before has to be there.
        let storage = Arc::clone(&self.storage).lock_owned().await;
        let appending = async move { storage.append(entries).await };
        if self.says == Says::InTime {
            return appending.await;
        }
        tokio::spawn(appending);
        Ok(())
    }

    async fn fold(&self, entries: Vec<Entry>) -> Result<(), Failure> {
        self.storage.lock().await.fold(entries).await
    }

    async fn close(self) {
        if let Some(storage) = Arc::into_inner(self.storage) {
            storage.into_inner().close().await;
        }
    }
}
