//! Deterministic simulation of whole clusters: the real core on simulated disks, clocks and
//! networks, all driven by one seed. Faults are injected and repaired, and then every guarantee
//! must hold.
//!
//! ```text
//! plan ──> world ──> node (the core) ──> effects ──> disk, ways (network), clients
//!            │                                            │
//!            └── faults                invariants <───────┴── history
//! ```

#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only functions marked as tests")]
#![allow(clippy::print_stdout, reason = "seeds are printed")]
#![allow(unreachable_pub, missing_docs, reason = "a test program has no outside")]

/// The clients.
mod clients;
/// A clock that is wrong.
mod clock;
/// A disk that forgets.
mod disk;
/// Carries out the effects of a core.
mod effects;
/// Injects and repairs faults.
mod faults;
/// Checks that planted bugs are found.
mod finds;
/// The invariants.
mod invariants;
/// Links that lose messages.
mod network;
/// One simulated process.
mod node;
/// The plan of a seed.
mod plan;
/// Planted bugs.
mod planted;
/// Fault sequences that chance hardly ever produces.
mod plays;
/// Runs one seed.
mod run;
/// Runs many seeds.
mod seeds;
/// Records what happened.
mod trace;
/// Connections between nodes.
mod ways;
/// The event queue, and everything that events act on.
mod world;
