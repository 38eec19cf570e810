//! A node, to those who use it: writes and reads of the latest go through its driver; local reads
//! look at the records directly.

/// Carries out what the core decides.
mod driver;
/// Work under way on the disk.
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

/// Requests that the loop has not looked at yet; more are sent away.
const INBOX_MAX: usize = 4_096;

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(2);

/// A node, to those who use it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Node {
    inbox: mpsc::Sender<Asked>,
    core: Arc<RwLock<Core>>,
    started: Instant,
}

/// What is asked, and where the answer goes.
#[derive(Debug)]
enum Asked {
    Write(Write, Answer<Written>),
    Read(Answer<()>),
    HandOver,
}

/// Where an answer goes.
type Answer<T> = oneshot::Sender<Result<T, RejectReason>>;

/// Makes a node of what was found on disk.
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
    /// Writes. The answer is true: what is `Ok` is as durable as the mode promises.
    pub async fn write(&self, write: Write) -> Result<Written, RejectReason> {
        self.ask(|answer| Asked::Write(write, answer), RejectReason::OutcomeUnknown).await
    }

    /// Reads the latest: every write that was acknowledged anywhere is there.
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

    /// Reads what this node has.
    pub fn read_local<T>(&self, look: impl FnOnce(View<'_>) -> T) -> T {
        look(self.core.read().view())
    }

    /// Looks at what the node knows of itself, and at its clock.
    pub fn inspect<T>(&self, look: impl FnOnce(&Core, Moment) -> T) -> T {
        look(&self.core.read(), Moment(self.started.elapsed()))
    }

    /// Lets another node be the primary, if this one is it: until that is so, or cannot be.
    pub async fn hand_over(&self, limit: Duration) {
        if self.inbox.send(Asked::HandOver).await.is_err() {
            return;
        }
        let others_lead = self.wait_for(|core| core.role() != Role::Primary);
        if timeout(limit, others_lead).await.is_err() {
            tracing::info!("nobody took over in time");
        }
    }

    /// Waits until something is true of the node.
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
