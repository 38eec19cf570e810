//! Why Redis did not do what it was asked to, and whether it may have done it all the same.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why Redis did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// It is known to be gone, so nothing was sent.
    #[error("Redis is not available")]
    Down,
    /// It was asked, and did not answer in time or hung up. It may have done it, or may yet.
    #[error("Redis did not answer")]
    Unanswered,
    /// It answered that it will not: out of memory, read-only, no permission. It did nothing.
    #[error("Redis refused: {detail}")]
    Refused {
        /// What it said.
        detail: String,
    },
}

/// What a failed call says about the connection it was made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// Nothing: Redis answered, only not as hoped.
    None,
    /// It may be frozen, or cut.
    Silent,
    /// It is of no more use: closed, or its other end is not the primary (any more).
    Lost,
}

/// What an error of the library means.
pub(super) fn judge(error: &RedisError) -> (Failure, Blame) {
    let refused = || Failure::Refused { detail: error.to_string() };
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::BusyLoading,
        ) => (refused(), Blame::Lost),
        _ if error.is_timeout() => (Failure::Unanswered, Blame::Silent),
        ErrorKind::Io | ErrorKind::Parse => (Failure::Unanswered, Blame::Lost),
        _ => (refused(), Blame::None),
    }
}
