//! Why a call to Redis failed, and whether it may have taken effect nevertheless.

use ::redis::{ErrorKind, RedisError};

use super::refusal::{Meaning, Refusal};

/// Why a call to Redis failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// Redis is known to be gone, so nothing was sent.
    #[error("Redis is not available")]
    Down,
    /// Redis takes no writes, so its copies may be out of date. Nothing was sent.
    #[error("Redis takes no writes, and what it has may be out of date")]
    Doubtful,
    /// Redis did not answer in time or closed the connection. The call may have taken effect, or
    /// may yet.
    #[error("Redis did not answer")]
    Unanswered,
    /// Redis refused: out of memory, read-only, no permission. The call had no effect.
    #[error("Redis refused: {0}")]
    Refused(Refusal),
}

/// What a failed call reveals about its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// Nothing: Redis answered.
    None,
    /// The other end may be frozen or cut off.
    Silent,
    /// The connection is unusable: closed, or its other end is not the primary (any more).
    Lost,
}

/// Interprets an error of the client library.
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

/// Returns the refusal, if the error came from Redis itself.
pub(super) fn refusal(error: &RedisError) -> Option<Refusal> {
    let code = match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => error.code()?,
        _ => return None,
    };
    Some(Refusal::of(&[code, error.detail().unwrap_or_default()].join(" ")))
}
