//! A node's role.
//!
//! ```text
//!              no word from a primary      a majority would vote for it
//!   start ──> Replica ─────────────> PreCandidate ─────────────> Candidate
//!                ^                                                   │
//!                │  a higher term, or no majority within reach       │ a majority voted for it
//!                └──────────────────── Primary <─────────────────────┘
//!
//!   the disk fails: Stopped, from any role
//! ```

#![deny(clippy::disallowed_methods)]

use std::collections::BTreeSet;

use serde::Serialize;

use super::following::ReplicaState;
use super::input::Moment;
use super::lead::PrimaryState;
use super::member::Name;

/// A node's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Accepts writes (Raft's leader).
    Primary,
    /// Follows a primary, or waits for one (Raft's follower).
    Replica,
    /// Is standing for election, or asking for pre-votes.
    Candidate,
    /// Accepts nothing any more: a disk that failed once is not used again.
    Stopped,
}

/// A node's role, with the state that belongs to it.
#[derive(Debug)]
pub(super) enum RoleState {
    /// See [`Role::Primary`].
    Primary(Box<PrimaryState>),
    /// See [`Role::Replica`].
    Replica(Box<ReplicaState>),
    /// Asks for pre-votes, without disturbing the others.
    PreCandidate {
        /// The nodes that granted their pre-vote.
        pre_votes: BTreeSet<Name>,
        /// When it asked.
        asked: Moment,
    },
    /// Asks for votes.
    Candidate {
        /// The nodes that voted for it.
        votes: BTreeSet<Name>,
        /// What caused the election.
        called_by: CalledBy,
    },
    /// See [`Role::Stopped`].
    Stopped,
}

/// What caused an election.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CalledBy {
    /// The candidate has not heard from a primary for an election timeout.
    Silence,
    /// The primary asked for a leadership transfer.
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
