//! The database: a replicated, durable key-value store. Its client library is the crate `dbclient`.
//!
//! Read the modules in this order. Files that begin with
//! `#![deny(clippy::disallowed_methods)]` decide, and do nothing else.

/// How clients speak to the node.
pub mod api;
/// The command line, and what becomes of it.
pub mod config;
/// What is counted.
pub mod metrics;
/// The driver: tells the core what happens, and does what it decides.
pub mod node;
/// How nodes reach each other.
pub mod peers;
pub mod replication;
/// A node that serves, from start to drain.
pub mod server;
/// Where the log and the snapshot are kept.
pub mod storage;

pub use config::{Args, Config};
pub use dbclient::Version;
pub use server::start;
