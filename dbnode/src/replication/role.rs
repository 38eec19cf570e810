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

use std::collections::BTreeSet;

use serde::Serialize;

use super::following::ReplicaState;
use super::input::Moment;
use super::lead::PrimaryState;
use super::member::Name;

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

/// What a node is, with all that goes with it.
#[derive(Debug)]
pub(super) enum RoleState {
    /// See [`Role::Primary`].
    Primary(Box<PrimaryState>),
    /// See [`Role::Replica`].
    Replica(Box<ReplicaState>),
    /// Asks who would vote for it, without disturbing anybody.
    PreCandidate {
        /// Those who would.
        would: BTreeSet<Name>,
        /// When it asked.
        asked: Moment,
    },
    /// Asks for votes.
    Candidate {
        /// Those who gave theirs.
        votes: BTreeSet<Name>,
        /// Who asked for the election.
        called_by: CalledBy,
    },
    /// See [`Role::Stopped`].
    Stopped,
}

/// Who asked for an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CalledBy {
    /// The candidate, who has not heard of a primary for too long.
    Silence,
    /// The primary, who wants to stop.
    Primary,
}

impl RoleState {
    pub(super) fn role(&self) -> Role {
        match self {
            Self::Primary(_) => Role::Primary,
            Self::Replica(_) => Role::Replica,
            Self::PreCandidate { .. } | Self::Candidate { .. } => Role::Candidate,
            Self::Stopped => Role::Stopped,
        }
    }
}
