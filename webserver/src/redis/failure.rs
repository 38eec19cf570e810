//! Why Redis did not do what it was asked to, and whether it may have done it all the same.

use ::redis::{ErrorKind, RedisError};

use super::refusal::{Meaning, Refusal};

/// Why Redis did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// It is known to be gone, so nothing was sent.
    #[error("Redis is not available")]
    Down,
    /// It takes no writes, so what it has may be out of date. Nothing was sent.
    #[error("Redis takes no writes, and what it has may be out of date")]
    Doubtful,
    /// It was asked, and did not answer in time or hung up. It may have done it, or may yet.
    #[error("Redis did not answer")]
    Unanswered,
    /// It answered that it will not: out of memory, read-only, no permission. It did nothing.
    #[error("Redis refused: {0}")]
    Refused(Refusal),
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
    if let Some(refusal) = refusal(error) {
        let blame = if refusal.meaning == Meaning::WrongServer { Blame::Lost } else { Blame::None };
        return (Failure::Refused(refusal), blame);
    }
    match error.kind() {
        _ if error.is_timeout() => (Failure::Unanswered, Blame::Silent),
        ErrorKind::Io | ErrorKind::Parse => (Failure::Unanswered, Blame::Lost),
        _ => (Failure::Refused(Refusal::of(&error.to_string())), Blame::None),
    }
}

/// What Redis said, when it was Redis that said no.
pub(super) fn refusal(error: &RedisError) -> Option<Refusal> {
    let code = match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => error.code()?,
        _ => return None,
    };
    Some(Refusal::of(&[code, error.detail().unwrap_or_default()].join(" ")))
}
