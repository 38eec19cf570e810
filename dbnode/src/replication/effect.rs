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
        /// The node it is sent to.
        to: Name,
        /// The message, with this node's term.
        envelope: Envelope,
    },
    /// Tell a client that its write is done.
    Acknowledge {
        /// The client that waits for it.
        ticket: Ticket,
        /// What it came to.
        written: Written,
    },
    /// Tell a client that its write, or its read, is not done, or not known to be.
    Reject {
        /// The client that waits for it.
        ticket: Ticket,
        /// The reason it is told.
        refusal: RejectReason,
    },
    /// Tell a client that it may look now: what is shown is what was written last.
    ReadReady {
        /// The client that waits for it.
        ticket: Ticket,
    },
    /// Move these, the oldest of the log, into the snapshot on disk, and say so when they are there.
    Compact(Vec<Entry>),
    /// Read a piece of the snapshot on disk, for another node.
    ReadSnapshot {
        /// The node that is to get it.
        peer: Name,
        /// Where the piece begins.
        from: Cursor,
        /// It ends with the record that exceeds this size.
        bytes_max: usize,
    },
    /// Put this in the place of the snapshot on disk, empty the log, and say so when it is done.
    Install(Installation),
    /// Tell people.
    Tell(Notice),
    /// Stop for good: this node can promise nothing any more.
    Halt(Halt),
}

/// Why a node stops for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The disk failed.
    #[error("the disk failed")]
    DiskFailed,
    /// What another node says cannot be, if both know what was committed.
    #[error(
        "this node has entry {index} of the log as committed, and '{primary}' has another one in its place: a member must have been started from old data, and so forgot what it had confirmed; keep this node's data directory, which has what the others lost, and start it with an empty one to follow them"
    )]
    Diverged {
        /// Who has another entry.
        primary: Name,
        /// The first entry that is known to differ.
        index: u64,
    },
    /// Two nodes were elected in one term.
    #[error(
        "this node and '{other}' were both elected in term {term}: a member must have been started from old data, and so voted twice; nothing that was written since can be relied on"
    )]
    TwoPrimaries {
        /// The other one.
        other: Name,
        /// In which term.
        term: u64,
    },
}

/// Something that people should know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// A member has less than it had.
    #[error(
        "'{0}' was started from old data: it has less than it had confirmed, so it neither votes nor counts before it has joined again"
    )]
    OldData(Name),
    /// This node is that member.
    #[error(
        "this node was started from old data: '{0}' knows that it had confirmed more, so it neither votes nor counts before it has joined again"
    )]
    OwnOldData(Name),
    /// Another member has no room.
    #[error("the disk of '{0}' is full")]
    MemberFull(Name),
    /// And has it again.
    #[error("there is room on the disk of '{0}' again")]
    MemberHasRoom(Name),
    /// This node begins without the records that it imported.
    #[error(
        "'{0}' belongs to a cluster already: what was imported here is left out, and the cluster's records take its place"
    )]
    ImportLeftOut(Name),
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
pub enum RejectReason {
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
    /// So many names are remembered that there is no memory for one more.
    #[error(
        "too many idempotency keys are remembered, and none is old enough to be forgotten; nothing was written: send it again later, or without a key"
    )]
    TooManyNames,
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
    /// Too few members could confirm, and this one has no room on its disk.
    #[error(
        "'{0}' has no room on its disk, and without it too few members can confirm a write; nothing was written"
    )]
    MemberFull(Name),
    /// It was taken, and whether it will last is not known, or not yet.
    #[error("the write was not confirmed in time; it may or may not have happened")]
    OutcomeUnknown,
    /// A read could not be shown to be the latest in time.
    #[error("it could not be confirmed in time that this is the latest; try again, or read local")]
    NotConfirmed,
}
