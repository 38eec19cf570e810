//! What nodes say to each other.

#![deny(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};

use super::entry::{Entry, LogId};
use super::life::Start;
use super::member::Incarnation;
use super::snapshot::{Chunk, Receipt};

/// A message, and the term of whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The sender's term.
    pub term: u64,
    /// What it says.
    pub message: Message,
}

/// What nodes say to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "Would you vote for me?" Nobody's term changes by it.
    PreVoteRequest(Candidacy),
    /// "I would", or not.
    PreVoteResponse {
        /// The term that was asked about.
        term: u64,
        /// True for yes.
        granted: bool,
        /// The log is committed up to here, as far as the sender knows.
        committed: LogId,
    },
    /// "Vote for me."
    VoteRequest {
        /// Who asks.
        candidacy: Candidacy,
        /// The primary itself asked for this election: it is no disturbance.
        leadership_transfer: bool,
    },
    /// "You have my vote", or not.
    VoteResponse {
        /// True for yes.
        granted: bool,
        /// The log is committed up to here, as far as the sender knows.
        committed: LogId,
    },
    /// Entries from the primary; without any, a heartbeat.
    AppendEntries(AppendEntries),
    /// What a replica made of them.
    AppendEntriesResponse(AppendEntriesResponse),
    /// "Up to where must I have applied the log, to answer as of now?"
    ReadIndexRequest {
        /// The replica's number for the question.
        number: u64,
    },
    /// "Up to here."
    ReadIndexResponse {
        /// The number of the question.
        number: u64,
        /// The entry.
        index: u64,
    },
    /// A piece of the primary's snapshot.
    InstallSnapshot(Chunk),
    /// "I have that piece."
    InstallSnapshotResponse(Receipt),
    /// "Become the primary now": a planned hand-over.
    TimeoutNow,
    /// "My disk has no room." It promises nothing, and may be said in a term that is not on disk.
    NoRoom,
    /// "You began this start with less than you had confirmed."
    OldData {
        /// Which start.
        start: Start,
        /// The sender's log ends here: of what came later it cannot know.
        known_up_to: u64,
    },
}

impl Message {
    /// False when no correct node says this.
    pub fn makes_sense(&self) -> bool {
        let Self::AppendEntries(AppendEntries { previous, entries, .. }) = self else { return true };
        let follows = |(before, entry): (LogId, &Entry)| {
            before.index.checked_add(1) == Some(entry.index) && before.term <= entry.term
        };
        let places = [*previous].into_iter().chain(entries.iter().map(Entry::log_id));
        places.zip(entries).all(follows)
    }
}

/// What a candidate says for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidacy {
    /// The term it wants to be primary of.
    pub term: u64,
    /// The last entry of its log.
    pub last: LogId,
    /// The newest entry of its log that says who acts under its name; 0 when none does.
    pub acts_since: u64,
    /// The incarnation under which the receiver helped to form the cluster, as the candidate
    /// knows it. A founder that was cut off at once knows of the cluster only by this.
    pub founder: Option<Incarnation>,
}

/// Entries from the primary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntries {
    /// The primary counts its rounds of heartbeats; the answer says which one it is for.
    pub round: u64,
    /// The entry before the first of these.
    pub previous: LogId,
    /// The entries.
    pub entries: Vec<Entry>,
    /// The log is committed up to here.
    pub committed: u64,
    /// The time from this primary to this replica and back, as measured last, in milliseconds.
    pub round_trip_ms: u64,
}

/// What a replica made of an [`AppendEntries`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntriesResponse {
    /// The newest round it heard of.
    pub round: u64,
    /// The last entry it has applied.
    pub applied: u64,
    /// Whether the entries fit.
    pub outcome: Outcome,
}

/// Whether entries fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The replica's log is the primary's up to this entry, and on disk.
    Matched(u64),
    /// The replica has not got the entry before the first of these.
    Missing {
        /// Which one that is.
        previous: u64,
        /// The two logs may agree up to here.
        agreed_at_most: u64,
    },
}
