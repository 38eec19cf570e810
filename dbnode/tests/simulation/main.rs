//! Whole clusters, simulated: the real core on simulated disks, clocks and networks, all drawn
//! from one seed. Things go wrong, are put right, and then everything that was promised must hold.
//!
//! ```text
//! plan ──> world ──> node (the core) ──> effects ──> disk, ways (network), clients
//!            │                                            │
//!            └── faults                invariants <───────┴── history
//! ```

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only functions marked as tests")]
#![allow(clippy::print_stdout, reason = "seeds are printed")]
#![allow(unreachable_pub, missing_docs, reason = "a test program has no outside")]

/// Who asks for things.
mod clients;
/// A clock that is wrong.
mod clock;
/// A disk that forgets.
mod disk;
/// What a node's core wants done, done.
mod effects;
/// What goes wrong.
mod faults;
/// What is found when a bug is put in.
mod finds;
/// What must hold.
mod invariants;
/// Links that lose.
mod network;
/// One simulated process.
mod node;
/// What a seed stands for.
mod plan;
/// Bugs put in on purpose.
mod planted;
/// Faults in an order that chance hardly ever leads to.
mod plays;
/// One seed.
mod run;
/// Many seeds.
mod seeds;
/// What happened.
mod trace;
/// Connections.
mod ways;
/// Everything that is going to happen, in order.
mod world;
