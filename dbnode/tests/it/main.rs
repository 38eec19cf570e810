//! A node as its clients see it.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only functions marked as tests")]
#![allow(clippy::print_stdout, reason = "seeds are printed")]
#![allow(unreachable_pub, reason = "a test program has no outside")]

/// A node in this process, and one in its own process.
mod support;

/// Clients that keep a node waiting.
mod abuse;
/// The client library against a node.
mod client;
/// Random damage to the files of a data directory.
mod damage;
/// The disk is full for a while.
mod full_disk;
/// The HTTP API as `curl` would see it.
mod http;
/// Killed repeatedly without losing an acknowledged write.
mod kill;
/// Members that know each other by host name.
mod peers;
/// Start, stop, and start again.
mod restart;
/// A process that runs out of file descriptors.
mod shortage;
/// The resources that a node uses on its machine.
mod spending;
