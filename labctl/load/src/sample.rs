//! What became of one request.
#![deny(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Duration;

use super::{CacheMark, Moment, Outcome};

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// When it was meant to be sent.
    pub intended: Moment,
    /// How much later it was sent: the generator's own delay.
    pub lag: Duration,
    /// From the moment it was meant to be sent to the end of its answer.
    pub latency: Duration,
    /// What became of it.
    pub outcome: Outcome,
    /// The answer's status; 0 without one.
    pub status: u16,
    /// Who answered, by `X-Served-By`.
    pub served_by: Option<Arc<str>>,
    /// What `X-Cache` said.
    pub cache: CacheMark,
    /// How often its asker asked, the first time included; 0 when it could not be sent.
    pub attempts: u32,
}

/// Names one stream of the generator that gave it; to another one's recorder it means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StreamId(pub(super) u32);

/// How a request ended: what a sample says beyond what was known when it was sent.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) lag: Duration,
    pub(super) latency: Duration,
    pub(super) outcome: Outcome,
    pub(super) status: u16,
    pub(super) served_by: Option<Arc<str>>,
    pub(super) cache: CacheMark,
    pub(super) attempts: u32,
}

impl End {
    /// Of a request for which there was no room any more.
    pub(super) fn cancelled(late: Duration) -> Self {
        Self::unsent(Outcome::Cancelled, late)
    }

    /// Of a request whose moment was long past when it could have been sent.
    pub(super) fn not_sent(late: Duration) -> Self {
        Self::unsent(Outcome::NotSent, late)
    }

    fn unsent(outcome: Outcome, late: Duration) -> Self {
        let cache = CacheMark::None;
        Self { lag: late, latency: late, outcome, status: 0, served_by: None, cache, attempts: 0 }
    }

    pub(super) fn sample(self, stream: StreamId, intended: Moment) -> Sample {
        let End { lag, latency, outcome, status, served_by, cache, attempts } = self;
        Sample { stream, intended, lag, latency, outcome, status, served_by, cache, attempts }
    }
}
