//! A primary's state: its term, its heartbeat rounds, and the progress of each replica.

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
use super::upcoming::Upcoming;

/// A primary's volatile state.
#[derive(Debug)]
pub(super) struct PrimaryState {
    /// The progress of each replica.
    pub(super) progress: BTreeMap<Name, Progress>,
    /// The state after all entries of the log, on which the outcome of new writes is decided.
    pub(super) upcoming: Upcoming,
    /// The index of the entry that began this primary's term.
    pub(super) began: u64,
    /// The number of the newest heartbeat round.
    pub(super) round: u64,
    /// When the newest heartbeat round began.
    pub(super) round_began: Moment,
    /// Pending linearizable reads.
    pub(super) reads: PrimaryReads,
    /// When a leadership transfer began, if one is in progress.
    pub(super) handing_over: Option<Moment>,
    /// The index of the last entry that lets a member join.
    pub(super) joining: Option<u64>,
    /// When this primary's term began, and the cluster's time then, in milliseconds.
    pub(super) clock: (Moment, u64),
}

/// The progress of one replica, as the primary knows it.
#[derive(Debug)]
pub(super) struct Progress {
    /// The start of the data directory that this progress belongs to.
    pub(super) life: Option<Arc<Life>>,
    /// The replica's log matches this node's up to this index, and is on its disk (`matchIndex` in
    /// the Raft paper).
    pub(super) matched: u64,
    /// The replica has applied its log up to this index.
    pub(super) applied: u64,
    /// The next entry to send (`nextIndex` in the Raft paper).
    pub(super) next: u64,
    /// How entries are being sent.
    pub(super) state: ProgressState,
    /// Messages without a response yet.
    pub(super) in_flight: InFlight,
    /// The newest commit index sent to the replica.
    pub(super) commit_index_sent: u64,
    /// The newest heartbeat round that the replica answered.
    pub(super) round: u64,
    /// The newest heartbeat round sent to the replica.
    pub(super) round_sent: u64,
    /// When the replica was last heard from.
    pub(super) heard: Moment,
    /// When the replica was last fully caught up.
    pub(super) caught_up_at: Moment,
    /// The most recently measured round-trip time.
    pub(super) round_trip: Duration,
    /// When the replica last reported that its disk is full; `None` once it has stored something
    /// since.
    pub(super) no_room: Option<Moment>,
    /// True if `no_room` was set at the last tick.
    pub(super) had_no_room: bool,
}

/// How entries are sent to a replica (etcd's terms).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProgressState {
    /// It is unknown where the replica's log diverges; one probe is in flight at a time.
    Probe(Asked),
    /// Entries are pipelined, without waiting for responses.
    Replicate,
    /// The replica is so far behind that it receives the snapshot.
    Snapshot {
        /// The next step of the transfer.
        awaited: Awaited,
        /// When the transfer last made progress.
        moved: Moment,
    },
}

/// The next step of a snapshot transfer. A late reply to an earlier attempt matches neither.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The chunk that begins here has to be read from the disk.
    Chunk(Cursor),
    /// The replica has to confirm the chunk.
    Receipt {
        /// The last entry in the snapshot.
        place: LogId,
        /// Where the chunk begins.
        from: Cursor,
        /// Where the next chunk begins; `None` after the last.
        next: Option<Cursor>,
    },
}

/// Whether a probe is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// No probe is in flight; one may be sent.
    No,
    /// A probe is in flight. A response ends it, or the next heartbeat round repeats it.
    Yes,
}

impl PrimaryState {
    /// Begins the next heartbeat round.
    pub(super) fn begin_round(&mut self, now: Moment) {
        self.round += 1;
        self.round_began = now;
        for progress in self.progress.values_mut() {
            // A probe without a response is repeated.
            if progress.state == ProgressState::Probe(Asked::Yes) {
                progress.state = ProgressState::Probe(Asked::No);
            }
        }
    }

    /// True while a replica is receiving the snapshot, which should not change meanwhile.
    pub(super) fn ships_snapshot(&self) -> bool {
        self.progress.values().any(|progress| matches!(progress.state, ProgressState::Snapshot { .. }))
    }

    /// Restarts snapshot transfers that have made no progress for this long.
    pub(super) fn give_up_snapshots(&mut self, now: Moment, patience: Duration) {
        for progress in self.progress.values_mut() {
            if let ProgressState::Snapshot { moved, .. } = progress.state
                && now.since(moved) > patience
            {
                progress.probe_from(progress.next);
            }
        }
    }
}

impl Progress {
    /// The progress of a replica about which nothing is known. Probing begins at the end of this
    /// node's log.
    pub(super) fn unknown(life: Option<Arc<Life>>, last: u64, now: Moment) -> Self {
        Self {
            life,
            matched: 0,
            applied: 0,
            next: last + 1,
            state: ProgressState::Probe(Asked::No),
            in_flight: InFlight::default(),
            commit_index_sent: 0,
            round: 0,
            round_sent: 0,
            heard: now,
            caught_up_at: now,
            round_trip: Duration::ZERO,
            no_room: None,
            had_no_room: false,
        }
    }

    /// Restarts probing, because messages may have been lost.
    pub(super) fn probe_from(&mut self, next: u64) {
        self.next = next.max(self.matched + 1);
        self.state = ProgressState::Probe(Asked::No);
        self.in_flight.forget();
    }

    /// Records that the replica's disk has everything up to this index.
    pub(super) fn matches(&mut self, matched: u64) {
        if matched > self.matched {
            (self.matched, self.no_room) = (matched, None);
        }
        self.next = self.next.max(self.matched + 1);
        self.in_flight.arrived(self.matched);
        if matches!(self.state, ProgressState::Probe(_)) {
            self.state = ProgressState::Replicate;
        }
    }
}
