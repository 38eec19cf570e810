//! Why a call did not succeed: whose fault it is, whether its write may have happened all the
//! same, and whether it is worth trying again.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No node took the connection. Nothing happened.
    #[error("cannot reach the database at {node}")]
    Unreachable {
        /// The node that was tried last.
        node: SocketAddr,
        /// Why it could not be reached.
        source: io::Error,
    },

    /// A read had no answer in time. (A write without an answer is [`OutcomeUnknown`](Self::OutcomeUnknown).)
    #[error("the database did not answer in time")]
    Timeout,

    /// Every node that answers is called something else. Nothing happened.
    #[error("no database node is called '{name}'")]
    NoSuchNode {
        /// What was asked for.
        name: String,
    },

    /// The database could not answer a read. Not the caller's fault.
    #[error("the database cannot answer now: {detail}")]
    Unavailable {
        /// What it said.
        detail: String,
    },

    /// The write surely did not happen. Not the caller's fault.
    #[error("not written: {detail}")]
    NotWritten {
        /// What the database said.
        detail: String,
        /// How long it asked to be left alone.
        retry_after: Option<Duration>,
    },

    /// The write may or may not have happened, now or later.
    #[error("the outcome of the write is unknown: {detail}")]
    OutcomeUnknown {
        /// What came in between.
        detail: String,
    },

    /// The condition of the write did not hold. Nothing happened.
    #[error("the record is not what the write's condition says")]
    Conflict,

    /// The call itself was wrong: the caller's fault. Nothing happened.
    #[error("the database refused the request ({status}): {detail}")]
    BadRequest {
        /// How it refused.
        status: StatusCode,
        /// What it said.
        detail: String,
    },
}

impl ClientError {
    /// True when the call was a write and it may have happened, or may yet.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. })
    }

    /// True when the same call may succeed later, and making it again cannot do harm by itself.
    pub fn may_retry(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout | Self::Unavailable { .. } | Self::NotWritten { .. } => {
                true
            }
            Self::OutcomeUnknown { .. }
            | Self::Conflict
            | Self::NoSuchNode { .. }
            | Self::BadRequest { .. } => false,
        }
    }
}
