//! Which bug is put in: the module `planted` of a copy of the tree that has bugs.

#![allow(missing_docs, reason = "no part of the product")]

use std::cell::Cell;
use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// What a killed process has handed to the system is not lost: so it is handed over late, and a kill finds
/// something on its way however fast the disk is.
const LATE: Duration = Duration::from_millis(30);

thread_local! {
    /// In simulations of this thread.
    static HERE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// In this process.
static EVERYWHERE: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("DBNODE_PLANTED").ok());

/// What is given to the disk late keeps its order.
static ORDER: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);

/// From now on this thread has this bug, or none.
pub fn plant(bug: Option<&'static str>) {
    HERE.set(bug);
}

pub fn is(bug: &str) -> bool {
    HERE.get() == Some(bug) || EVERYWHERE.as_deref() == Some(bug)
}

/// Waits for what was to be done later.
pub async fn order() -> OwnedMutexGuard<()> {
    Arc::clone(&ORDER).lock_owned().await
}

/// Does it later, after what was to be done before.
pub async fn later<T: Send + 'static>(what: impl Future<Output = T> + Send + 'static) {
    let order = order().await;
    tokio::spawn(async move {
        tokio::time::sleep(LATE).await;
        what.await;
        drop(order);
    });
}
