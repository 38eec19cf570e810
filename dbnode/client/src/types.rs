//! Parameters and results of calls.

use std::time::Duration;

use bytes::Bytes;

use crate::Version;

/// The consistency of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Reads the local copy of the node that is asked; it may be stale.
    Local,
    /// Reads the latest acknowledged value (linearizable).
    Latest,
}

/// The precondition of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// None.
    Always,
    /// The record must still have this version.
    IfVersion(Version),
    /// The record must not exist.
    IfAbsent,
}

/// A record, as a node returned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The record's value.
    pub value: Bytes,
    /// The record's version, which identifies the write that set it.
    pub version: Version,
    /// The name of the node that answered; empty if it did not say.
    pub node: String,
    /// How stale the value may be, in milliseconds; `None` if the node did not say.
    pub lag_ms: Option<u64>,
}

/// The result of an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The record's new value.
    pub value: i64,
    /// The record's new version.
    pub version: Version,
}

/// Limits of a [`Client`](super::Client).
#[derive(Debug, Clone)]
pub struct ClientLimits {
    /// Time limit for establishing a connection.
    pub connect: Duration,
    /// Time limit for a whole call, including connecting and retries.
    pub request: Duration,
    /// Maximum number of idle connections kept open to each node.
    pub idle_connections: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { connect: Duration::from_millis(500), request: Duration::from_secs(2), idle_connections: 64 }
    }
}
