//! The core's output: effects for the driver to carry out, in the order of the list.

#![deny(clippy::disallowed_methods)]

use super::disk::{Batch, Installation};
use super::entry::Entry;
use super::input::Ticket;
use super::member::Name;
use super::message::Envelope;
use super::snapshot::Cursor;
use dbclient::Version;

/// An action for the driver to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write this batch to the disk atomically, and report when it is durable. At most one batch is
    /// in progress at a time.
    Persist(Batch),
    /// Send a message to another node. It may be lost; messages that are not lost arrive in order.
    Send {
        /// The receiver.
        to: Name,
        /// The message, with this node's term.
        envelope: Envelope,
    },
    /// Tell a client that its write is done.
    Acknowledge {
        /// The client's request.
        ticket: Ticket,
        /// The result of the write.
        written: Written,
    },
    /// Tell a client that its write or read failed, or that its outcome is unknown.
    Reject {
        /// The client's request.
        ticket: Ticket,
        /// The reason given to the client.
        refusal: RejectReason,
    },
    /// Tell a client that it may read now: what is shown includes every write acknowledged before
    /// it asked.
    ReadReady {
        /// The client's request.
        ticket: Ticket,
    },
    /// Move these entries, the oldest of the log, into the snapshot on disk, and report when they
    /// are there.
    Compact(Vec<Entry>),
    /// Read a chunk of the snapshot on disk, for another node.
    ReadSnapshot {
        /// The node that will receive it.
        peer: Name,
        /// Where the chunk begins.
        from: Cursor,
        /// The chunk ends with the record that exceeds this size.
        bytes_max: usize,
    },
    /// Replace the snapshot on disk with this one, empty the log, and report when it is done.
    Install(Installation),
    /// Log a notice for the operator.
    Tell(Notice),
    /// Stop for good: this node can no longer guarantee anything.
    Halt(Halt),
}

/// Why a node stops for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// The disk failed.
    #[error("the disk failed")]
    DiskFailed,
    /// The primary contradicts an entry that this node knows to be committed.
    #[error(
        "this node has entry {index} of the log as committed, and '{primary}' has another one in its place: a member must have been started from old data, and so forgot what it had confirmed; keep this node's data directory, which has what the others lost, and start it with an empty one to follow them"
    )]
    Diverged {
        /// The primary that has a different entry.
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
        /// The term of both elections.
        term: u64,
    },
}

/// A notice for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// Another member lost data that it had confirmed.
    #[error(
        "'{0}' was started from old data: it has less than it had confirmed, so it neither votes nor counts before it has joined again"
    )]
    OldData(Name),
    /// This node lost data that it had confirmed.
    #[error(
        "this node was started from old data: '{0}' knows that it had confirmed more, so it neither votes nor counts before it has joined again"
    )]
    OwnOldData(Name),
    /// Another member's disk is full.
    #[error("the disk of '{0}' is full")]
    MemberFull(Name),
    /// Another member's disk has room again.
    #[error("there is room on the disk of '{0}' again")]
    MemberHasRoom(Name),
    /// This node discards the records that it imported.
    #[error(
        "'{0}' belongs to a cluster already: the records imported here are discarded, and the cluster's records replace them"
    )]
    ImportLeftOut(Name),
}

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The version that the write gave the record.
    pub version: Version,
    /// The new value of the record, if the write was an addition.
    pub sum: Option<i64>,
}

/// Why a read or write failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    /// Its condition does not hold.
    #[error("the record is not what the condition says")]
    Conflict,
    /// It adds to a value that is not a number.
    #[error("the record's value is not a 64-bit integer, so nothing can be added to it")]
    NotANumber,
    /// The sum is too large, or too small.
    #[error("the sum does not fit in 64 bits")]
    Overflow,
    /// Its request id was used before, for another write.
    #[error("this idempotency key was used before, for a different write")]
    RequestIdReused,
    /// The table of remembered request ids is full.
    #[error(
        "too many idempotency keys are remembered, and none is old enough to be forgotten; nothing was written: send it again later, or without a key"
    )]
    TooManyNames,
    /// There is no room on the disk.
    #[error("the disk is full, or this node is short of files or memory; nothing was written")]
    DiskFull,
    /// Too many writes are waiting already.
    #[error("too many writes are waiting; this one was not accepted")]
    Overloaded,
    /// The disk failed before the write was taken.
    #[error("the disk failed and the node is stopping; nothing was written")]
    Stopped,
    /// Another node is the primary.
    #[error("this node is not the primary; '{0}' is")]
    NotPrimary(Name),
    /// This node knows of no primary.
    #[error("there is no primary now; nothing was written")]
    NoPrimary,
    /// This node is the primary and about to stop.
    #[error("the primary is handing over to another node; nothing was written")]
    HandingOver,
    /// Every member has to confirm the write, and one of them is down.
    #[error("'{0}' is down, and in sync mode every member confirms every write; nothing was written")]
    MemberDown(Name),
    /// Too few members could confirm the write, because this one has no room on its disk.
    #[error(
        "'{0}' has no room on its disk, and without it too few members can confirm a write; nothing was written"
    )]
    MemberFull(Name),
    /// The write was accepted, but it is not known, or not known yet, whether it will last.
    #[error("the write was not confirmed in time; it may or may not have happened")]
    OutcomeUnknown,
    /// The read could not be confirmed in time to see the latest write.
    #[error("it could not be confirmed in time that this is the latest; try again, or use read=local")]
    NotConfirmed,
}
