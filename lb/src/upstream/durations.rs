//! Histograms of request durations: one or two additions per request, and no lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use machine::trace::TraceLabel;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::histogram::exponential_buckets;

/// The first bucket's upper bound. Each further bound is twice as high: 250 µs to 8.2 s, then one bucket for
/// the rest.
const FIRST: Duration = Duration::from_micros(250);
const BOUNDS: usize = 16;

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [AtomicU64; BOUNDS + 1],
    nanos: AtomicU64,
    /// The same, if tracing is on, which it is for all requests or for none.
    traced: OnceLock<Box<HistogramWithExemplars<TraceLabel>>>,
}

impl Durations {
    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(nanos)].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Counts a duration whose trace is known.
    pub fn observe_traced(&self, duration: Duration, trace: TraceLabel) {
        let bounds = || exponential_buckets(FIRST.as_secs_f64(), 2.0, BOUNDS as u16);
        let traced = self.traced.get_or_init(|| Box::new(HistogramWithExemplars::new(bounds())));
        traced.observe(duration.as_secs_f64(), Some(trace), Some(SystemTime::now()));
    }

    /// Returns what was counted with traces, if anything was.
    pub fn traced(&self) -> Option<&HistogramWithExemplars<TraceLabel>> {
        self.traced.get().map(Box::as_ref)
    }

    /// Returns the sum in seconds, and each bucket's upper bound in seconds with its count; `None` if nothing
    /// was counted.
    pub fn read(&self) -> Option<(f64, Vec<(f64, u64)>)> {
        let bounds =
            (0..BOUNDS).map(|bucket| FIRST.as_secs_f64() * f64::from(1 << bucket)).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let sum = Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64();
        buckets.iter().any(|(_, count)| *count > 0).then_some((sum, buckets))
    }
}

/// Returns the first bucket whose bound is at least this high.
fn bucket_of(nanos: u64) -> usize {
    let first = FIRST.as_nanos() as u64;
    let times = nanos.saturating_sub(1) / first;
    ((u64::BITS - times.leading_zeros()) as usize).min(BOUNDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound_of(duration: Duration) -> f64 {
        let durations = Durations::default();
        durations.observe(duration);
        let (_, buckets) = durations.read().expect("one was counted");
        buckets.into_iter().find(|(_, count)| *count == 1).expect("one was counted").0
    }

    #[test]
    fn a_duration_is_in_the_first_bucket_that_is_not_below_it() {
        let micros = Duration::from_micros;
        assert_eq!(bound_of(Duration::ZERO), 0.00025);
        assert_eq!((bound_of(micros(250)), bound_of(micros(251))), (0.00025, 0.0005));
        assert_eq!((bound_of(micros(500)), bound_of(micros(501))), (0.0005, 0.001));
        assert_eq!(
            (bound_of(micros(750)), bound_of(micros(1_000)), bound_of(micros(1_001))),
            (0.001, 0.001, 0.002)
        );
        assert_eq!((bound_of(micros(250 << 15)), bound_of(micros((250 << 15) + 1))), (8.192, f64::INFINITY));
        assert_eq!(bound_of(Duration::MAX), f64::INFINITY);
    }

    #[test]
    fn nothing_is_shown_of_nothing_and_sums_are_in_seconds() {
        let durations = Durations::default();
        assert_eq!(durations.read(), None);
        durations.observe(Duration::from_millis(3));
        durations.observe(Duration::from_millis(4));
        assert_eq!(durations.read().expect("two were counted").0, 0.007);
    }
}
