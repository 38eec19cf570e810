//! The outage of a traffic: from its first failed request to the first good one after the last failed one, as a
//! chapter's measure `outage` counts it. Pure.
#![deny(clippy::disallowed_methods)]

use load::{Moment, Sample};

use crate::snapshot::Outage;

/// When requests failed, as far as they have been read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Failing {
    first: Option<Moment>,
    good_again: Option<Moment>,
}

impl Failing {
    /// Reads further requests, in the order in which they were due.
    pub(crate) fn after(mut self, samples: &[Sample]) -> Self {
        for sample in samples {
            if !sample.outcome.is_success() {
                self.first.get_or_insert(sample.intended);
                self.good_again = None;
            } else if self.first.is_some() {
                self.good_again.get_or_insert(sample.intended);
            }
        }
        self
    }

    /// Returns the outage; it lasts until now if no request has been good since. None if nothing failed.
    pub(crate) fn outage(self, now: Moment) -> Option<Outage> {
        let until = self.good_again.unwrap_or(now);
        let seconds = until.saturating_sub(self.first?).as_secs_f64();
        // More than a tenth of a second cannot be told apart on the page.
        Some(Outage { seconds: (seconds * 10.0).round() / 10.0, over: self.good_again.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use load::{CacheMark, Outcome, StreamId};

    use super::*;

    fn samples(told: &[(u64, Outcome)]) -> Vec<Sample> {
        let sample = |(at, outcome): &(u64, Outcome)| Sample {
            stream: StreamId::default(),
            intended: Duration::from_millis(*at),
            lag: Duration::ZERO,
            latency: Duration::ZERO,
            outcome: *outcome,
            status: 0,
            served_by: None,
            cache: CacheMark::None,
            attempts: 1,
        };
        told.iter().map(sample).collect()
    }

    #[test]
    fn an_outage_ends_with_the_first_good_request_after_the_last_failed_one() {
        use Outcome::{Ok, Refused};
        let now = Duration::from_secs(9);
        let failing = Failing::default().after(&samples(&[(100, Ok), (200, Ok)]));
        assert_eq!(failing.outage(now), None);
        let failing = failing.after(&samples(&[(1_000, Refused), (1_500, Ok), (2_000, Refused)]));
        assert_eq!(failing.outage(now), Some(Outage { seconds: 8.0, over: false }));
        let failing = failing.after(&samples(&[(3_900, Ok), (5_000, Ok)]));
        assert_eq!(failing.outage(now), Some(Outage { seconds: 2.9, over: true }));
    }
}
