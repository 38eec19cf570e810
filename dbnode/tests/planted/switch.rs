//! Selects the planted bug: the module `planted` in a copy of the tree that contains the bugs.

#![allow(missing_docs, reason = "no part of the product")]

use std::cell::Cell;
use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Data that a killed process has handed to the system is not lost. So it is handed over late, and
/// a kill finds writes in progress however fast the disk is.
const LATE: Duration = Duration::from_millis(30);

thread_local! {
    /// The bug in simulations on this thread.
    static HERE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// The bug in this process.
static EVERYWHERE: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("DBNODE_PLANTED").ok());

/// Keeps deferred writes in order.
static ORDER: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);

/// Selects the bug for this thread, or none.
pub fn plant(bug: Option<&'static str>) {
    HERE.set(bug);
}

pub fn is(bug: &str) -> bool {
    HERE.get() == Some(bug) || EVERYWHERE.as_deref() == Some(bug)
}

/// Waits until the deferred work is done.
pub async fn order() -> OwnedMutexGuard<()> {
    Arc::clone(&ORDER).lock_owned().await
}

/// Defers work until after all earlier deferred work.
pub async fn later<T: Send + 'static>(what: impl Future<Output = T> + Send + 'static) {
    let order = order().await;
    tokio::spawn(async move {
        tokio::time::sleep(LATE).await;
        what.await;
        drop(order);
    });
}
