//! The database: a replicated, durable key-value store. Its client library is the crate `dbclient`.
//!
//! Start with [`replication`], the Raft-like consensus core and the parts it is composed of, then read
//! [`node`], which drives it, and [`storage`], where its log is kept. Files that begin with
//! `#![deny(clippy::disallowed_methods)]` are pure: they decide, and perform no I/O.

/// How clients speak to the node.
pub mod api;
/// The command line and the configuration derived from it.
pub mod config;
/// The metrics that a node exports.
pub mod metrics;
/// The driver: feeds the core with inputs and carries out its effects.
pub mod node;
/// How nodes reach each other.
pub mod peers;
pub mod replication;
/// A running node, from start to drain.
pub mod server;
/// Storage for the log and the snapshot.
pub mod storage;

pub use config::{Args, Config};
pub use dbclient::Version;
pub use server::start;
