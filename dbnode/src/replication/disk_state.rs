//! The state of this node's disk: what is in progress there, and whether space is left.

#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use super::compaction::Compaction;
use super::input::Moment;
use super::installing::Installing;
use super::log::Log;

/// Pause before a full disk is tried again.
const FULL_DISK_RESTS: Duration = Duration::from_millis(200);

/// What is in progress on the disk, and whether space is left.
#[derive(Debug)]
pub(super) struct DiskState {
    /// When the batch in progress was given to the disk.
    persisting_since: Option<Moment>,
    /// When the disk may be tried again after it was full.
    rests_until: Moment,
    /// True if the last batch found the disk full.
    pub(super) found_no_room: bool,
    /// True if free disk space is short.
    pub(super) room_is_short: bool,
    /// When the other nodes were last told that this disk is full.
    pub(super) no_room_sent_at: Option<Moment>,
    pub(super) compaction: Compaction,
    pub(super) installing: Option<Installing>,
}

impl DiskState {
    /// Describes an idle disk with free space.
    pub(super) fn new(now: Moment) -> Self {
        Self {
            persisting_since: None,
            rests_until: now,
            found_no_room: false,
            room_is_short: false,
            no_room_sent_at: None,
            compaction: Compaction::new(now),
            installing: None,
        }
    }

    /// True during the pause after the disk was found full.
    pub(super) fn rests(&self, now: Moment) -> bool {
        now < self.rests_until
    }

    /// Records that a batch was given to the disk.
    pub(super) fn batch_begun(&mut self, now: Moment) {
        self.persisting_since = Some(now);
    }

    /// Records that the batch is on disk.
    pub(super) fn batch_persisted(&mut self) {
        self.persisting_since = None;
        self.found_no_room = false;
    }

    /// Records that the batch was not written because the disk is full.
    pub(super) fn batch_found_no_room(&mut self, now: Moment) {
        self.persisting_since = None;
        self.found_no_room = true;
        self.rests_until = now + FULL_DISK_RESTS;
    }

    /// True if the batch in progress has taken longer than `patience`.
    pub(super) fn hangs(&self, now: Moment, patience: Duration) -> bool {
        self.persisting_since.is_some_and(|since| now.since(since) > patience)
    }

    /// True while the disk is full, as far as is known. A batch that failed is retried if it still
    /// exists; other members may have confirmed its entries.
    pub(super) fn is_full(&self, now: Moment, log: &Log) -> bool {
        self.rests(now) || (self.found_no_room && log.has_batch())
    }

    /// Records that the compacted entries are in the snapshot.
    pub(super) fn compacted(&mut self, now: Moment) {
        self.compaction.finished(now);
        if self.found_no_room {
            // There may be room now.
            self.rests_until = now;
        }
    }
}
