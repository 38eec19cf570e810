//! The result of one request.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Duration;

use super::{CacheMark, Moment, Outcome};

/// The result of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// The moment it was meant to be sent.
    pub intended: Moment,
    /// The generator's own delay: how much later it was sent.
    pub lag: Duration,
    /// The time from the moment it was meant to be sent to the end of its answer.
    pub latency: Duration,
    /// Its outcome.
    pub outcome: Outcome,
    /// The answer's status; 0 without one.
    pub status: u16,
    /// The server that answered, from `X-Served-By`.
    pub served_by: Option<Arc<str>>,
    /// The cache status, from `X-Cache`.
    pub cache: CacheMark,
    /// The number of attempts, the first one included; 0 if it could not be sent.
    pub attempts: u32,
}

/// Identifies one stream of one generator; it is meaningless to another one's recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId(pub(super) u32);

/// The end of a request: the part of a sample that was not known when it was sent.
#[derive(Debug, Clone)]
pub(super) struct Completion {
    pub(super) lag: Duration,
    pub(super) latency: Duration,
    pub(super) outcome: Outcome,
    pub(super) status: u16,
    pub(super) served_by: Option<Arc<str>>,
    pub(super) cache: CacheMark,
    pub(super) attempts: u32,
}

impl Completion {
    /// The end of a request that was cancelled because too many were in flight.
    pub(super) fn cancelled(late: Duration) -> Self {
        Self::unsent(Outcome::Cancelled, late)
    }

    /// The end of a request that could have been sent only long after it was due.
    pub(super) fn not_sent(late: Duration) -> Self {
        Self::unsent(Outcome::NotSent, late)
    }

    fn unsent(outcome: Outcome, late: Duration) -> Self {
        let cache = CacheMark::None;
        Self { lag: late, latency: late, outcome, status: 0, served_by: None, cache, attempts: 0 }
    }

    pub(super) fn sample(self, stream: StreamId, intended: Moment) -> Sample {
        let Completion { lag, latency, outcome, status, served_by, cache, attempts } = self;
        Sample { stream, intended, lag, latency, outcome, status, served_by, cache, attempts }
    }
}
