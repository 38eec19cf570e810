//! The interface to a node. Writes and linearizable reads go through its driver; local reads access
//! the records directly.

/// The driver, which carries out what the core decides.
mod driver;
/// Disk operations in progress.
mod work;

#[cfg(test)]
mod early_ack;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use machine::Machine;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

pub use driver::{Driver, Halted};

use crate::metrics::Metrics;
use crate::replication::disk::Recovered;
use crate::replication::effect::{RejectReason, Written};
use crate::replication::input::{Moment, Write};
use crate::replication::reads::Path;
use crate::replication::role::Role;
use crate::replication::showing::View;
use crate::replication::{Core, Setup};
use crate::storage::Storage;

/// Maximum number of requests waiting for the driver's loop; more are rejected.
const INBOX_MAX: usize = 4_096;

/// Polling interval.
const POLL: Duration = Duration::from_millis(2);

/// A handle to a running node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Node {
    inbox: mpsc::Sender<Asked>,
    core: Arc<RwLock<Core>>,
    started: Instant,
}

/// A request to the driver, with the channel for its answer.
#[derive(Debug)]
enum Asked {
    Write(Write, Answer<Written>),
    Read(Answer<()>),
    HandOver,
}

/// The channel for an answer.
type Answer<T> = oneshot::Sender<Result<T, RejectReason>>;

/// Creates a node from what was found on disk, and the driver that runs it.
pub fn node<S: Storage>(
    setup: Setup,
    recovered: Recovered,
    storage: S,
    machine: Machine,
    metrics: Metrics,
) -> (Node, Driver<S>) {
    let core = Core::new(setup, recovered, Moment(Duration::ZERO));
    let core = Arc::new(RwLock::new(core));
    let started = Instant::now();
    let (sender, inbox) = mpsc::channel(INBOX_MAX);
    let node = Node { inbox: sender, core: Arc::clone(&core), started };
    (node, Driver::new(core, started, inbox, storage, machine, metrics))
}

impl Node {
    /// Writes. `Ok` means that the write is as durable as the mode promises.
    pub async fn write(&self, write: Write) -> Result<Written, RejectReason> {
        self.ask(|answer| Asked::Write(write, answer), RejectReason::OutcomeUnknown).await
    }

    /// Performs a linearizable read: it sees every write that was acknowledged anywhere before.
    pub async fn read_latest<T>(&self, look: impl FnOnce(View<'_>) -> T) -> Result<T, RejectReason> {
        {
            let core = self.core.read();
            if core.read_path() == Path::Look {
                return Ok(look(core.view()));
            }
        }
        self.ask(Asked::Read, RejectReason::NotConfirmed).await?;
        Ok(self.read_local(look))
    }

    /// Reads the local copy, which may be stale.
    pub fn read_local<T>(&self, look: impl FnOnce(View<'_>) -> T) -> T {
        look(self.core.read().view())
    }

    /// Gives access to the core's state and the node's clock.
    pub fn inspect<T>(&self, look: impl FnOnce(&Core, Moment) -> T) -> T {
        look(&self.core.read(), Moment(self.started.elapsed()))
    }

    /// Hands over leadership, if this node is the primary. Returns when it no longer is, or after
    /// `limit`.
    pub async fn hand_over(&self, limit: Duration) {
        if self.inbox.send(Asked::HandOver).await.is_err() {
            return;
        }
        let others_lead = self.wait_for(|core| core.role() != Role::Primary);
        if timeout(limit, others_lead).await.is_err() {
            tracing::info!("no other node took over in time");
        }
    }

    /// Waits until a condition holds.
    pub async fn wait_for(&self, condition: impl Fn(&Core) -> bool) {
        while !condition(&self.core.read()) {
            sleep(POLL).await;
        }
    }

    async fn ask<T>(
        &self,
        asked: impl FnOnce(Answer<T>) -> Asked,
        lost: RejectReason,
    ) -> Result<T, RejectReason> {
        let (answer, answered) = oneshot::channel();
        self.inbox.try_send(asked(answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => RejectReason::Overloaded,
            mpsc::error::TrySendError::Closed(_) => RejectReason::Stopped,
        })?;
        answered.await.unwrap_or(Err(lost))
    }
}
