//! The messages that nodes exchange.

#![deny(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};

use super::entry::{Entry, LogId};
use super::life::Start;
use super::member::Incarnation;
use super::snapshot::{Chunk, Receipt};

/// A message with its sender's term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The sender's term.
    pub term: u64,
    /// The message.
    pub message: Message,
}

/// A message between nodes: the Raft paper's RPCs, and a few more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Pre-vote request: "Would you vote for me?" It changes no node's term.
    PreVoteRequest(Candidacy),
    /// The answer to a pre-vote request.
    PreVoteResponse {
        /// The term asked about.
        term: u64,
        /// True if granted.
        granted: bool,
        /// The sender's commit index, as far as it knows.
        committed: LogId,
    },
    /// Vote request.
    VoteRequest {
        /// The candidate's case.
        candidacy: Candidacy,
        /// True if the primary itself asked for this election, so that it is no disturbance.
        leadership_transfer: bool,
    },
    /// The answer to a vote request.
    VoteResponse {
        /// True if granted.
        granted: bool,
        /// The sender's commit index, as far as it knows.
        committed: LogId,
    },
    /// Entries from the primary; without any, a heartbeat.
    AppendEntries(AppendEntries),
    /// The answer to `AppendEntries`.
    AppendEntriesResponse(AppendEntriesResponse),
    /// A replica's ReadIndex request: up to which index must it have applied the log to serve a
    /// linearizable read?
    ReadIndexRequest {
        /// The replica's number for the request.
        number: u64,
    },
    /// The answer to a ReadIndex request.
    ReadIndexResponse {
        /// The number of the request.
        number: u64,
        /// The index.
        index: u64,
    },
    /// A chunk of the primary's snapshot.
    InstallSnapshot(Chunk),
    /// Confirms that a chunk arrived.
    InstallSnapshotResponse(Receipt),
    /// Leadership transfer: "become the primary now".
    TimeoutNow,
    /// "My disk is full." It makes no promise, so it may be sent in a term that is not on disk yet.
    NoRoom,
    /// "You started with less than you had confirmed."
    OldData {
        /// The start in question.
        start: Start,
        /// The last index of the sender's log; it knows nothing of later entries.
        known_up_to: u64,
    },
}

impl Message {
    /// False if no correct node would send this message.
    pub fn makes_sense(&self) -> bool {
        let Self::AppendEntries(AppendEntries { previous, entries, .. }) = self else { return true };
        let follows = |(before, entry): (LogId, &Entry)| {
            before.index.checked_add(1) == Some(entry.index) && before.term <= entry.term
        };
        let places = [*previous].into_iter().chain(entries.iter().map(Entry::log_id));
        places.zip(entries).all(follows)
    }
}

/// What a candidate tells the voters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidacy {
    /// The term of the election.
    pub term: u64,
    /// The last entry of the candidate's log.
    pub last: LogId,
    /// The index of the newest entry in the candidate's log that states which directory acts under
    /// its name; 0 if there is none.
    pub acts_since: u64,
    /// The incarnation under which the receiver helped to form the cluster, as the candidate knows
    /// it. A founder that was cut off at once knows of the cluster only from this.
    pub founder: Option<Incarnation>,
}

/// Entries from the primary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntries {
    /// The number of the primary's newest heartbeat round; the response repeats it.
    pub round: u64,
    /// The entry before the first of these (`prevLogIndex` and `prevLogTerm`).
    pub previous: LogId,
    /// The entries.
    pub entries: Vec<Entry>,
    /// The primary's commit index.
    pub committed: u64,
    /// The most recently measured round-trip time between this primary and this replica, in
    /// milliseconds.
    pub round_trip_ms: u64,
}

/// A replica's response to [`AppendEntries`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntriesResponse {
    /// The newest round the replica has seen.
    pub round: u64,
    /// The last entry the replica has applied.
    pub applied: u64,
    /// The result of the consistency check.
    pub outcome: Outcome,
}

/// The result of the consistency check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The replica's log matches the primary's up to this index, and is on disk.
    Matched(u64),
    /// The replica does not have the entry before the first of these.
    Missing {
        /// The index of that entry.
        previous: u64,
        /// The highest index up to which the two logs may agree.
        agreed_at_most: u64,
    },
}
