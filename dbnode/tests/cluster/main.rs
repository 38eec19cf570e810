//! Clusters of real processes, on real disks and sockets: killed, frozen, emptied, and contacted by
//! strangers.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only functions marked as tests")]
#![allow(clippy::print_stdout, reason = "figures are printed")]
#![allow(unreachable_pub, reason = "a test program has no outside")]

/// A cluster of three processes.
mod cluster;

/// The primary dies, freezes, or stops.
mod failover;
/// A member's disk is full.
mod full;
/// Long lists, and the requests that wait for them.
mod lists;
/// Members that were away, or lost their data.
mod rejoining;
/// Nodes and clients that do not belong to the cluster.
mod strangers;
/// Guarantees and refusals of `sync`.
mod sync;
