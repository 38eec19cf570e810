//! What is asked of the database, and what it gives.

use std::time::Duration;

use bytes::Bytes;

use crate::Version;

/// How fresh an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// What the node that is asked has; it may be behind.
    Local,
    /// What was written last.
    Latest,
}

/// When a write may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// In any case.
    Always,
    /// Only when the record still has this version.
    IfVersion(Version),
    /// Only when there is no such record.
    IfAbsent,
}

/// A record, as a node had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What was put.
    pub value: Bytes,
    /// Which write put it.
    pub version: Version,
    /// The name of the node that answered; empty when it did not say.
    pub node: String,
    /// How long ago the node last heard from the primary, in milliseconds; none when it did not say.
    pub lag_ms: Option<u64>,
}

/// What an addition came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The record's value after it.
    pub value: i64,
    /// The record's version after it.
    pub version: Version,
}

/// How long a [`Client`](super::Client) waits, and what it keeps.
#[derive(Debug, Clone)]
pub struct ClientLimits {
    /// For a connection to be established.
    pub connect: Duration,
    /// For a whole call: connecting, asking again, everything.
    pub request: Duration,
    /// Unused connections kept open for each node.
    pub idle_connections: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { connect: Duration::from_millis(500), request: Duration::from_secs(2), idle_connections: 64 }
    }
}
