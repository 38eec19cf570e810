//! The invariants, which must hold whatever goes wrong: one file for each.

/// An acknowledged write is on the disks that its mode promises.
pub mod acknowledged_is_durable;
/// Applied entries stay applied, and are the same everywhere.
pub mod applied_stays;
/// Linearizable reads and writes have an order that explains them.
pub mod linearizable;
/// Two logs with the same entry at an index are identical up to it.
pub mod log_matching;
/// No acknowledged write is lost.
pub mod nothing_is_lost;
/// There is at most one primary in each term.
pub mod one_primary_per_term;
/// At the end all nodes are identical.
pub mod replicas_converge;
/// After all faults are repaired, writes resume soon.
pub mod writes_resume;

/// The invariant that a panicking core violates.
pub const PANICS: &str = "the core does not panic";

/// The invariant that a core violates that stops because of another node's message.
pub const STOPS: &str = "the nodes agree";

/// A violated invariant, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub invariant: &'static str,
    /// What was observed.
    pub seen: String,
}

/// Reports a violated invariant.
pub fn violated(invariant: &'static str, seen: String) -> Result<(), Violation> {
    Err(Violation { invariant, seen })
}
