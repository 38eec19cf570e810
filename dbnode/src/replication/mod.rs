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
//! [`Core`] is composed of parts. Each owns its fields, and has the rules that need nothing else:
//!
//! | part | what it owns | file |
//! |---|---|---|
//! | `Setup`, `Life` | what is fixed while the node runs: its members, limits and timeouts, its data directory | `setup.rs`, `life.rs` |
//! | `RoleState` | what only a primary, a replica or a candidate needs: the replicas' progress, votes, waiting reads | `role.rs`, `lead.rs`, `following.rs` |
//! | `HardState` | the term and the vote, and the messages that wait until they are on disk | `hard_state.rs` |
//! | `Peers` | which nodes are connected, what was heard from them, and which of them lost data | `peers.rs` |
//! | `Log` | the entries that are not in the snapshot yet, which of them are on disk, the commit index | `log.rs` |
//! | `Applied` | the state, and what readers see beyond it | `applied.rs`, `showing.rs` |
//! | `Waiting` | the clients that wait for a response | `waiting.rs` |
//! | `DiskState` | what is in progress on the disk, and whether it has room | `disk_state.rs`, `compaction.rs`, `installing.rs` |
//! | `Discarded` | the writes that were truncated | `discarded.rs` |
//!
//! A rule that needs several parts is a method of `Core`, in the file that tells its story. To see
//! how an input takes its course, begin with `handle_input` and `advance` in `core.rs`.
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
