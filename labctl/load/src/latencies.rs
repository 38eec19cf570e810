//! Exact percentiles, computed from all samples rather than from a histogram.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

/// Sorted durations, for percentiles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies(Vec<Duration>);

impl FromIterator<Duration> for Latencies {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        let mut sorted: Vec<Duration> = durations.into_iter().collect();
        sorted.sort_unstable();
        Self(sorted)
    }
}

impl Latencies {
    /// The number of durations.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest duration that at least `percent` % of them do not exceed (nearest rank). `None` if there
    /// are none.
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let rank = (percent.clamp(0.0, 100.0) / 100.0 * self.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied()
    }

    /// The mean. `None` if there are none.
    pub fn mean(&self) -> Option<Duration> {
        let count = u32::try_from(self.len()).ok().filter(|count| *count > 0)?;
        Some(self.0.iter().sum::<Duration>() / count)
    }

    /// The longest. `None` if there are none.
    pub fn max(&self) -> Option<Duration> {
        self.0.last().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_a_textbook() {
        let hundred: Latencies = (1..=100).map(Duration::from_millis).collect();
        let percentile = |percent| hundred.percentile(percent).unwrap().as_millis();
        assert_eq!([0.0, 1.0, 50.0, 99.0, 99.5, 100.0].map(percentile), [1, 1, 50, 99, 100, 100]);
        assert_eq!(hundred.mean(), Some(Duration::from_micros(50_500)));
        assert_eq!(hundred.max(), Some(Duration::from_millis(100)));
    }
}
