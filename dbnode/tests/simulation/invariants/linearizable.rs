//! In `sync` and `quorum`, linearizable reads and writes have an order that explains every answer.

use history::History;
use history::linearizable::{Limits, Verdict, judge};

use super::{Violation, violated};

/// Whether the history could be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// It could.
    Fully,
    /// Too many orders are possible.
    GivenUp,
}

/// Checks the clients' history.
pub fn check(history: &History) -> Result<Judged, Violation> {
    match judge(history, Limits { situations: 200_000 }) {
        Verdict::Linearizable => Ok(Judged::Fully),
        Verdict::Undecided { .. } => Ok(Judged::GivenUp),
        Verdict::Violation(violation) => {
            violated("latest reads are linearizable", violation.timeline()).map(|()| Judged::Fully)
        }
    }
}
