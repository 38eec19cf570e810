//! What must always hold, whatever goes wrong: one file for each.

/// An acknowledged write is on the disks that its mode promises.
pub mod acknowledged_is_durable;
/// What was applied stays applied, and is the same everywhere.
pub mod applied_stays;
/// Reads of the latest and writes have an order that explains them.
pub mod linearizable;
/// Two logs with the same entry at a place are the same up to it.
pub mod log_matching;
/// No acknowledged write is lost.
pub mod nothing_is_lost;
/// There is one primary in each term.
pub mod one_primary_per_term;
/// In the end all nodes are the same.
pub mod replicas_converge;
/// After healing, writes go on soon.
pub mod writes_resume;

/// What is said of a core that panics.
pub const PANICS: &str = "the core does not panic";

/// What is said of a core that stops because of what another said.
pub const STOPS: &str = "the nodes agree";

/// What does not hold, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What should hold.
    pub invariant: &'static str,
    /// What was seen.
    pub seen: String,
}

/// Something that should hold does not.
pub fn violated(invariant: &'static str, seen: String) -> Result<(), Violation> {
    Err(Violation { invariant, seen })
}
