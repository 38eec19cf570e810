//! A node's fixed parameters.

#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use super::durability::Mode;
use super::life::Starts;
use super::member::{Incarnation, Name, majority};

/// Resource limits of the core.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Maximum entries in one batch, to the disk or to another node.
    pub batch_entries: usize,
    /// Maximum bytes in one batch; a larger single entry goes alone.
    pub batch_bytes: usize,
    /// Maximum batches in flight to one replica; large enough to fill a slow link.
    pub in_flight_messages: usize,
    /// Maximum bytes in flight to one replica; one batch may exceed it.
    pub in_flight_bytes: usize,
    /// Size of a snapshot chunk in bytes; a chunk ends with the record that exceeds it.
    pub chunk_bytes: usize,
    /// Maximum number of waiting clients.
    pub waiting: usize,
    /// The time a client waits before its request is rejected.
    pub patience: Duration,
    /// The log is compacted when it has more entries than this…
    pub log_entries: usize,
    /// …or takes more bytes than this; half of it remains.
    pub log_bytes: usize,
    /// The minimum time for which the request id of a write is remembered.
    pub names_kept: Duration,
    /// Maximum memory for remembered request ids, in bytes.
    pub names_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_entries: 1_024,
            batch_bytes: 2 << 20,
            in_flight_messages: 512,
            in_flight_bytes: 16 << 20,
            chunk_bytes: 256 << 10,
            waiting: 8_192,
            patience: Duration::from_millis(1_500),
            log_entries: 50_000,
            log_bytes: 64 << 20,
            names_kept: Duration::from_secs(60),
            names_bytes: 256 << 20,
        }
    }
}

/// Timeouts of the core.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The minimum election timeout. Each timeout is drawn at random between this and twice this.
    pub election_timeout: Duration,
}

impl Timing {
    /// The heartbeat interval.
    pub(super) fn heartbeat(self) -> Duration {
        self.election_timeout / 5
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self { election_timeout: Duration::from_millis(600) }
    }
}

/// A node's fixed parameters.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The node's name.
    pub name: Name,
    /// The data directory that the node runs with.
    pub incarnation: Incarnation,
    /// The starts of that directory, including this one.
    pub starts: Starts,
    /// All members of the cluster, including this node.
    pub members: Vec<Name>,
    /// What an acknowledged write survives.
    pub mode: Mode,
    /// Resource limits.
    pub limits: Limits,
    /// Timeouts.
    pub timing: Timing,
    /// The random seed: the same seed and the same inputs lead to the same effects.
    pub seed: u64,
}

impl Setup {
    /// True if there are no other members.
    pub(super) fn is_alone(&self) -> bool {
        self.members.len() == 1
    }

    /// The size of a majority of the members.
    pub(super) fn majority(&self) -> usize {
        majority(self.members.len())
    }

    /// The other members.
    pub(super) fn others(&self) -> Vec<Name> {
        self.members.iter().filter(|name| **name != self.name).cloned().collect()
    }

    /// Sorts the members by name.
    pub(super) fn sorted(mut self) -> Self {
        self.members.sort();
        self
    }
}
