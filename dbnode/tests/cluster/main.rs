//! Clusters of real processes, on real disks and sockets: killed, frozen, emptied, and met by
//! strangers.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only functions marked as tests")]
#![allow(clippy::print_stdout, reason = "figures are printed")]
#![allow(unreachable_pub, reason = "a test program has no outside")]

/// Three processes.
mod cluster;

/// The primary dies, freezes, or stops.
mod failover;
/// A member's disk is full.
mod full;
/// Long lists, and who waits for them.
mod lists;
/// Members that were away, or lost their data.
mod rejoining;
/// Who does not belong there.
mod strangers;
/// What `sync` refuses.
mod sync;
