//! The rate of a stream, in requests per second, as a function of time.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

/// Requests per second as a function of the time since the rate was set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// A constant rate; 0 stops the stream.
    Steady(f64),
    /// A linear ramp from one rate to another, constant after that.
    Ramp {
        /// Requests per second at the start.
        from: f64,
        /// Requests per second at the end, and after it.
        to: f64,
        /// The length of the ramp.
        over: Duration,
    },
}

impl Rate {
    /// No requests.
    pub const STOPPED: Rate = Rate::Steady(0.0);

    /// The highest rate, in requests per second; anything above is taken for a mistake and clamped.
    pub const MAX: f64 = 100_000.0;

    /// The rate at this time after it was set, in requests per second.
    pub fn at(&self, elapsed: Duration) -> f64 {
        let line = self.line();
        match elapsed.as_secs_f64() {
            seconds if seconds < line.seconds => line.from + line.slope() * seconds,
            _ => line.to,
        }
    }

    /// The expected number of arrivals in this time after the rate was set.
    pub(super) fn expected(&self, elapsed: Duration) -> f64 {
        let line = self.line();
        let seconds = elapsed.as_secs_f64();
        line.area(seconds.min(line.seconds)) + line.to * (seconds - line.seconds).max(0.0)
    }

    /// The inverse of [`Self::expected`]: the time after which `count` arrivals are expected. `None` if
    /// never.
    pub(super) fn reaches(&self, count: f64) -> Option<Duration> {
        let line = self.line();
        let on_the_ramp = line.area(line.seconds);
        let seconds = if on_the_ramp > 0.0 && count <= on_the_ramp {
            line.seconds_to_area(count)
        } else if line.to > 0.0 {
            line.seconds + (count - on_the_ramp) / line.to
        } else {
            return None;
        };
        Duration::try_from_secs_f64(seconds).ok()
    }

    fn line(&self) -> Line {
        let (from, to, over) = match *self {
            Rate::Steady(rate) => (rate, rate, Duration::ZERO),
            Rate::Ramp { from, to, over } => (from, to, over),
        };
        Line { from: sane(from), to: sane(to), seconds: over.as_secs_f64() }
    }
}

/// Clamps a rate that a person may have typed to the valid range.
fn sane(rate: f64) -> f64 {
    if rate.is_nan() { 0.0 } else { rate.clamp(0.0, Rate::MAX) }
}

/// The linear part of a rate. A constant rate has one of length zero.
struct Line {
    from: f64,
    to: f64,
    seconds: f64,
}

impl Line {
    fn slope(&self) -> f64 {
        if self.seconds > 0.0 { (self.to - self.from) / self.seconds } else { 0.0 }
    }

    fn area(&self, seconds: f64) -> f64 {
        self.from * seconds + self.slope() * seconds * seconds / 2.0
    }

    fn seconds_to_area(&self, area: f64) -> f64 {
        if area <= 0.0 {
            return 0.0;
        }
        // The quadratic formula, in the form that is stable for a slope near zero.
        let root = (self.from * self.from + 2.0 * self.slope() * area).max(0.0).sqrt();
        (2.0 * area / (self.from + root)).min(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ramp(from: f64, to: f64, seconds: u64) -> Rate {
        Rate::Ramp { from, to, over: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_steady_rate_is_the_same_at_all_times() {
        let rate = Rate::Steady(50.0);
        assert_eq!((rate.at(Duration::ZERO), rate.at(SECOND * 9)), (50.0, 50.0));
        assert_eq!(rate.expected(SECOND * 3), 150.0);
        assert_eq!(rate.reaches(1.0), Some(Duration::from_millis(20)));
    }

    #[test]
    fn a_ramp_is_a_line_and_then_steady() {
        let rate = ramp(0.0, 100.0, 10);
        assert_eq!((rate.at(SECOND * 5), rate.at(SECOND * 10), rate.at(SECOND * 20)), (50.0, 100.0, 100.0));
        assert_eq!((rate.expected(SECOND * 10), rate.expected(SECOND * 12)), (500.0, 700.0));
        assert_eq!(rate.reaches(500.0), Some(SECOND * 10));
        assert_eq!(rate.reaches(700.0), Some(SECOND * 12));
    }

    #[test]
    fn a_ramp_to_nothing_ends() {
        let rate = ramp(100.0, 0.0, 2);
        assert!(rate.reaches(99.0).is_some());
        assert_eq!(rate.reaches(100.5), None);
    }

    #[test]
    fn a_stopped_rate_reaches_nothing() {
        assert_eq!(Rate::STOPPED.reaches(0.0), None);
        assert_eq!(Rate::Steady(1e-300).reaches(1.0), None);
    }

    #[test]
    fn nonsense_is_made_sane() {
        assert_eq!(Rate::Steady(f64::NAN).at(SECOND), 0.0);
        assert_eq!(Rate::Steady(-3.0).at(SECOND), 0.0);
        assert_eq!(Rate::Steady(f64::INFINITY).at(SECOND), Rate::MAX);
    }

    proptest! {
        #[test]
        fn reaches_is_the_inverse_of_expected(
            from in 0.0..500.0f64, to in 0.5..500.0f64, seconds in 0u64..30, count in 0.01..5_000.0f64,
        ) {
            let rate = ramp(from, to, seconds);
            let at = rate.reaches(count).expect("the rate ends above zero");
            prop_assert!((rate.expected(at) - count).abs() < 1e-3, "{at:?}");
        }
    }
}
