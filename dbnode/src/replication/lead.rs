//! What a primary knows of itself and of the others.

#![deny(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::entry::LogId;
use super::in_flight::InFlight;
use super::input::Moment;
use super::life::Life;
use super::member::Name;
use super::reads::PrimaryReads;
use super::snapshot::Cursor;

/// What a primary knows.
#[derive(Debug)]
pub(super) struct PrimaryState {
    /// How far each of the others is.
    pub(super) progress: BTreeMap<Name, Progress>,
    /// The entry with which its time began.
    pub(super) began: u64,
    /// The number of the last round of heartbeats, and when it began.
    pub(super) round: u64,
    /// When that round began.
    pub(super) round_began: Moment,
    /// Reads of the latest that wait.
    pub(super) reads: PrimaryReads,
    /// It wants somebody else to be the primary, and has waited for that since.
    pub(super) handing_over: Option<Moment>,
    /// When its time began, and the cluster's time then, in milliseconds.
    pub(super) clock: (Moment, u64),
}

/// How far one of the others is, as the primary knows it.
#[derive(Debug)]
pub(super) struct Progress {
    /// Which start of which data directory it is about.
    pub(super) life: Option<Arc<Life>>,
    /// Its log is this node's up to here, and on its disk.
    pub(super) matched: u64,
    /// It has applied its log up to here.
    pub(super) applied: u64,
    /// The entry to send next.
    pub(super) next: u64,
    /// How it is being served.
    pub(super) pace: ProgressState,
    /// What was sent and not answered yet.
    pub(super) in_flight: InFlight,
    /// It was told that the log is committed up to here.
    pub(super) commit_index_sent: u64,
    /// The last round it answered, and the last it was sent, and when.
    pub(super) round: u64,
    /// The last round it was sent.
    pub(super) round_sent: u64,
    /// When it was heard of last.
    pub(super) heard: Moment,
    /// When it had everything last.
    pub(super) caught_up_at: Moment,
    /// From here to there and back, as measured last.
    pub(super) round_trip: Duration,
    /// When it last said that its disk has no room; none, when it has stored something since.
    pub(super) no_room: Option<Moment>,
    /// People were told so.
    pub(super) said_no_room: bool,
}

/// How a replica is being served.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProgressState {
    /// Where its log agrees with this one is not known: one question at a time.
    Probe(Asked),
    /// Entries go out as they come, without waiting for answers.
    Replicate,
    /// It is so far behind that it gets the snapshot.
    Snapshot {
        /// What is waited for.
        awaited: Awaited,
        /// When it last moved on.
        moved: Moment,
    },
}

/// What comes next on the way of a snapshot to a replica. What belongs to an earlier attempt, and comes
/// late, is none of these.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The piece that begins here, from the disk.
    Piece(Cursor),
    /// The replica's word that it has the piece.
    Receipt {
        /// The last entry in the snapshot.
        place: LogId,
        /// Where the piece begins.
        from: Cursor,
        /// Where the piece after it begins; none after the last.
        next: Option<Cursor>,
    },
}

/// Whether a question is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// No: one may be asked.
    No,
    /// Yes: its answer comes, or a heartbeat asks again.
    Yes,
}

impl Progress {
    /// Nothing is known but where this node's log ends.
    pub(super) fn unknown(life: Option<Arc<Life>>, last: u64, now: Moment) -> Self {
        Self {
            life,
            matched: 0,
            applied: 0,
            next: last + 1,
            pace: ProgressState::Probe(Asked::No),
            in_flight: InFlight::default(),
            commit_index_sent: 0,
            round: 0,
            round_sent: 0,
            heard: now,
            caught_up_at: now,
            round_trip: Duration::ZERO,
            no_room: None,
            said_no_room: false,
        }
    }

    /// What was sent may be lost: find out where it is.
    pub(super) fn probe_from(&mut self, next: u64) {
        self.next = next.max(self.matched + 1);
        self.pace = ProgressState::Probe(Asked::No);
        self.in_flight.forget();
    }

    /// It has everything up to here, on its disk.
    pub(super) fn matches(&mut self, matched: u64) {
        if matched > self.matched {
            (self.matched, self.no_room) = (matched, None);
        }
        self.next = self.next.max(self.matched + 1);
        self.in_flight.arrived(self.matched);
        if matches!(self.pace, ProgressState::Probe(_)) {
            self.pace = ProgressState::Replicate;
        }
    }
}
