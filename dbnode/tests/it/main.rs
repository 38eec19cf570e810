//! A node as its clients see it.

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only functions marked as tests")]
#![allow(clippy::print_stdout, reason = "seeds are printed")]
#![allow(unreachable_pub, reason = "a test program has no outside")]

/// A node in this process, and one in a process of its own.
mod support;

/// Clients that keep a node waiting.
mod abuse;
/// The client library against a node.
mod client;
/// Files of a data directory that are damaged at random.
mod damage;
/// There is no room on the disk, and then there is.
mod full_disk;
/// What `curl` would see: every status, every refusal.
mod http;
/// Killed again and again, and nothing acknowledged is lost.
mod kill;
/// Members that know each other by name.
mod peers;
/// Start, stop, and start again.
mod restart;
/// A process that has no descriptor left.
mod shortage;
/// What a node spends on its machine.
mod spending;
