//! A node, to those who use it: writes go through its driver, one after the other; reads look at
//! the state directly.

/// Carries out what the core decides.
mod driver;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use machine::Machine;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};

pub use driver::{Driver, Halted};

use crate::metrics::Metrics;
use crate::replication::effect::{Refusal, Written};
use crate::replication::input::Write;
use crate::replication::state::State;
use crate::replication::{Core, Limits};
use crate::storage::{Recovered, Storage};

/// Writes that the loop has not looked at yet; more are sent away.
const INBOX_MAX: usize = 1_024;

/// A node, to those who use it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Node {
    inbox: mpsc::Sender<Asked>,
    core: Arc<RwLock<Core>>,
}

/// A write, and where its answer goes.
#[derive(Debug)]
struct Asked {
    write: Write,
    answer: Answer,
}

/// Where an answer goes.
type Answer = oneshot::Sender<Result<Written, Refusal>>;

/// Makes a node of what was found on disk.
pub fn node<S: Storage>(
    recovered: Recovered,
    limits: Limits,
    storage: S,
    machine: Machine,
    metrics: Metrics,
) -> (Node, Driver<S>) {
    let core = Core::new(recovered.snapshot, recovered.entries, limits);
    let core = Arc::new(RwLock::new(core));
    let (sender, inbox) = mpsc::channel(INBOX_MAX);
    let node = Node { inbox: sender, core: Arc::clone(&core) };
    (node, Driver::new(core, inbox, storage, machine, metrics))
}

impl Node {
    /// Writes. The answer is true: what is `Ok` is on disk.
    pub async fn write(&self, write: Write) -> Result<Written, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.inbox.try_send(Asked { write, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Refusal::Stopped,
        })?;
        answered.await.unwrap_or(Err(Refusal::OutcomeUnknown))
    }

    /// Reads: everything that was acknowledged is there, and nothing that is not on disk.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(self.core.read().state())
    }

    /// Looks at what the node knows of itself.
    pub fn inspect<T>(&self, look: impl FnOnce(&Core) -> T) -> T {
        look(&self.core.read())
    }
}
