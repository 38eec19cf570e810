//! What a node is.
//!
//! ```text
//!              no word from a primary      a majority would vote for it
//!   start ──> Replica ─────────────> PreCandidate ─────────────> Candidate
//!                ^                                                   │
//!                │  a higher term, or no majority within reach       │ a majority voted for it
//!                └──────────────────── Primary <─────────────────────┘
//!
//!   the disk fails: Stopped, whatever it was
//! ```

#![deny(clippy::disallowed_methods)]

use serde::Serialize;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes writes.
    Primary,
    /// Follows a primary, or waits for one.
    Replica,
    /// Asks to become the primary.
    Candidate,
    /// Takes nothing any more: a disk that failed once is not asked again.
    Stopped,
}
