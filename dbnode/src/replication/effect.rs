//! What the core wants done. The order in a list is the order to do it in.

#![deny(clippy::disallowed_methods)]

use super::disk::{Batch, Installation};
use super::entry::Entry;
use super::input::Ticket;
use super::member::Name;
use super::message::Envelope;
use super::snapshot::Cursor;
use dbclient::Version;

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write this to the disk, all or nothing, and say so when it is there. There is never more
    /// than one such batch at a time.
    Persist(Batch),
    /// Say this to another node. It may be lost; what is not lost arrives in order.
    Send {
        /// Whom.
        to: Name,
        /// What.
        envelope: Envelope,
    },
    /// Tell a client that its write is done.
    Acknowledge {
        /// Whom.
        ticket: Ticket,
        /// What it came to.
        written: Written,
    },
    /// Tell a client that its write, or its read, is not done, or not known to be.
    Reject {
        /// Whom.
        ticket: Ticket,
        /// Why.
        refusal: Refusal,
    },
    /// Tell a client that it may look now: what is shown is what was written last.
    Look {
        /// Whom.
        ticket: Ticket,
    },
    /// Move these, the oldest of the log, into the snapshot on disk, and say so when they are there.
    Fold(Vec<Entry>),
    /// Read a piece of the snapshot on disk, for another node.
    ReadSnapshot {
        /// For whom.
        peer: Name,
        /// Where the piece begins.
        from: Cursor,
        /// It ends with the record that exceeds this size.
        bytes_max: usize,
    },
    /// Put this in the place of the snapshot on disk, empty the log, and say so when it is done.
    Install(Installation),
    /// Stop for good: this node can promise nothing any more.
    Halt,
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The version that it gave the record.
    pub version: Version,
    /// The record's value, when the write was an addition.
    pub sum: Option<i64>,
}

/// Why a write was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its condition does not hold.
    #[error("the record is not what the condition says")]
    Conflict,
    /// It adds to a value that is not a number.
    #[error("the record's value is not a whole number of 64 bits, so nothing can be added to it")]
    NotANumber,
    /// The sum is too large, or too small.
    #[error("the sum does not fit in 64 bits")]
    Overflow,
    /// Its request id was used before, for another write.
    #[error("this idempotency key was used before, for a different write")]
    RequestIdReused,
    /// There is no room on the disk.
    #[error("the disk is full, or this node is short of files or memory; nothing was written")]
    DiskFull,
    /// Too many writes wait already.
    #[error("too many writes are waiting; this one was not taken")]
    Overloaded,
    /// The disk failed before the write was taken.
    #[error("the disk failed and the node is stopping; nothing was written")]
    Stopped,
    /// Another node is the primary.
    #[error("this node is not the primary; '{0}' is")]
    NotPrimary(Name),
    /// There is no primary that this node knows of.
    #[error("there is no primary now; nothing was written")]
    NoPrimary,
    /// This node is the primary and about to stop.
    #[error("the primary is handing over to another node; nothing was written")]
    HandingOver,
    /// Every member has to confirm, and one of them is down.
    #[error("'{0}' is down, and in sync mode every member confirms every write; nothing was written")]
    MemberDown(Name),
    /// It was taken, and whether it will last is not known, or not yet.
    #[error("the write was not confirmed in time; it may or may not have happened")]
    OutcomeUnknown,
    /// A read could not be shown to be the latest in time.
    #[error("it could not be confirmed in time that this is the latest; try again, or read local")]
    NotConfirmed,
}
