//! The figures of the last second, for a live display.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{Latencies, Moment, Rate, Sample};

/// The current figures of one stream. They count by when answers *arrived*, unlike those of a window, so that
/// a server that stops answering shows at once.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct LiveFigures {
    /// The current target rate, in requests per second.
    pub offered: f64,
    /// Requests that succeeded in the last second.
    pub ok: usize,
    /// Requests that failed in the last second.
    pub failed: usize,
    /// The attempts of those requests, retries included.
    pub attempts: u64,
    /// The p99 latency of the successes in the last second. In JSON, in milliseconds.
    #[serde(rename = "p99_ms", serialize_with = "as_millis")]
    pub p99: Option<Duration>,
    /// Requests in flight.
    pub in_flight: usize,
}

fn as_millis<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64() * 1e3).serialize(serializer)
}

impl LiveFigures {
    /// The length of the live window.
    pub(super) const SPAN: Duration = Duration::from_secs(1);

    pub(super) fn of(
        now: Moment,
        (since, rate): (Moment, Rate),
        in_flight: usize,
        samples: impl Iterator<Item = Sample>,
    ) -> Self {
        let begin = now.saturating_sub(Self::SPAN);
        let recent: Vec<Sample> = samples
            .filter(|sample| (begin..=now).contains(&(sample.intended + sample.latency)))
            .filter(|sample| !sample.outcome.is_the_generators())
            .collect();
        let successful: Latencies =
            recent.iter().filter(|sample| sample.outcome.is_success()).map(|sample| sample.latency).collect();
        Self {
            offered: rate.at(now.saturating_sub(since)),
            ok: successful.len(),
            failed: recent.len() - successful.len(),
            attempts: recent.iter().map(|sample| u64::from(sample.attempts)).sum(),
            p99: successful.percentile(99.0),
            in_flight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CacheMark, Outcome, StreamId};
    use super::*;

    #[test]
    fn only_answers_of_the_last_second_count() {
        let sample = |intended_ms, latency_ms, outcome| Sample {
            stream: StreamId::default(),
            intended: Duration::from_millis(intended_ms),
            lag: Duration::ZERO,
            latency: Duration::from_millis(latency_ms),
            outcome,
            status: 200,
            served_by: None,
            cache: CacheMark::None,
            attempts: 1,
        };
        let samples = [
            sample(1_000, 50, Outcome::Ok),
            sample(1_000, 8_500, Outcome::Ok),
            sample(9_500, 20, Outcome::Ok),
            sample(9_600, 1, Outcome::Refused),
        ];
        let ramp = Rate::Ramp { from: 0.0, to: 100.0, over: Duration::from_secs(10) };
        let now = Duration::from_secs(10);
        let figures = LiveFigures::of(now, (Duration::from_secs(5), ramp), 7, samples.into_iter());
        let p99 = Some(Duration::from_millis(8_500));
        assert_eq!(figures, LiveFigures { offered: 50.0, ok: 2, failed: 1, attempts: 3, p99, in_flight: 7 });
    }
}
