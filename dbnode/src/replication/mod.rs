//! The core: a pure state machine that turns inputs into effects. It performs no I/O; the driver
//! ([`crate::node`]) carries out its decisions. Time and randomness are arguments.
//!
//! The path of a write through a primary and its replicas:
//!
//! ```text
//! ClientWrites ─> decide ─> log ─┬─> Persist ─> own disk ─> Persisted ───────────────────────────────┐
//!                                └─> Send(AppendEntries) ─> replica's disk ─> AppendEntriesResponse ─┤
//!                                                                   Acknowledge <─ apply <─ commit <─┘
//! ```
//!
//! While one batch is being written to disk, the next one collects (group commit): the slower the
//! disk, the larger the batches. The order of the effects is the safety argument: what a message
//! claims is on disk before the message leaves, and an acknowledged write is as durable as the
//! [mode](crate::replication::durability) promises.
//!
//! The rules are Raft's (Ongaro and Ousterhout, "In Search of an Understandable Consensus
//! Algorithm"); each file names the section it implements.

#![deny(clippy::disallowed_methods)]

mod applied;
mod compaction;
mod core;
pub mod decide;
mod discarded;
pub mod disk;
mod disk_state;
pub mod durability;
pub mod effect;
mod election;
pub mod entry;
mod following;
mod forming;
mod handover;
mod hard_state;
mod in_flight;
pub mod input;
mod installing;
pub mod key;
mod lead;
pub mod life;
pub mod log;
pub mod member;
pub mod message;
mod peers;
mod persisting;
pub mod reads;
pub mod requests;
pub mod role;
mod room;
mod roster;
mod setup;
mod shipping;
pub mod showing;
pub mod snapshot;
pub mod state;
pub mod status;
mod trust;
pub mod upcoming;
pub mod waiting;
mod writes;

#[cfg(test)]
mod tests;

pub use self::core::Core;
pub use self::setup::{Limits, Setup, Timing};
