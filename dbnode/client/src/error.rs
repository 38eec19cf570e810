//! Why a call failed: whose fault it is, whether its write may have happened nevertheless, and
//! whether a retry makes sense.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No node accepted a connection. Nothing happened.
    #[error("cannot reach the database at {node}")]
    Unreachable {
        /// The node that was tried last.
        node: SocketAddr,
        /// Why it could not be reached.
        source: io::Error,
    },

    /// A read was not answered in time. (A write without an answer is
    /// [`OutcomeUnknown`](Self::OutcomeUnknown).)
    #[error("the database did not answer in time")]
    Timeout,

    /// No node that answered has this name. Nothing happened.
    #[error("no database node is called '{name}'")]
    NoSuchNode {
        /// The name that was asked for.
        name: String,
    },

    /// The database could not answer a read. This is not the caller's fault.
    #[error("the database cannot answer now: {detail}")]
    Unavailable {
        /// The database's explanation.
        detail: String,
    },

    /// The write certainly did not happen. This is not the caller's fault.
    #[error("not written: {detail}")]
    NotWritten {
        /// The database's explanation.
        detail: String,
        /// The database's `Retry-After`.
        retry_after: Option<Duration>,
    },

    /// The write may or may not have happened, now or later.
    #[error("the outcome of the write is unknown: {detail}")]
    OutcomeUnknown {
        /// What went wrong.
        detail: String,
    },

    /// The precondition of the write did not hold. Nothing happened.
    #[error("the record does not match the write's condition")]
    Conflict,

    /// The call itself was wrong, which is the caller's fault. Nothing happened.
    #[error("the database refused the request ({status}): {detail}")]
    BadRequest {
        /// The status of the response.
        status: StatusCode,
        /// The database's explanation.
        detail: String,
    },
}

impl ClientError {
    /// True if the call was a write that may have happened, or may still happen.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. })
    }

    /// True if the same call may succeed later, and repeating it cannot do harm by itself.
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
