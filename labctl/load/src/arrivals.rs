//! The arrival process: when requests are meant to be sent. Time and randomness are arguments.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Moment, Rate};

/// The spacing of arrivals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arrivals {
    /// Independent arrivals at random intervals (exponential gaps), as real users come; some come close
    /// together.
    #[default]
    Poisson,
    /// Evenly spaced arrivals. Hides the queueing that random arrivals cause below full load.
    Constant,
}

/// The arrivals of one stream, in order, one at a time.
///
/// It counts in *expected arrivals* rather than in seconds: the next one comes when one more (constant) or a
/// random number more (Poisson) are expected. A ramp or a change of rate then only changes how fast that
/// number grows, and the rest of a gap is kept.
#[derive(Debug)]
pub(super) struct Schedule {
    arrivals: Arrivals,
    dice: ChaCha8Rng,
    rate: Rate,
    since: Moment,
    /// Expected arrivals from `since` to the next one.
    next: f64,
    /// The number of arrivals left, in a counted burst.
    left: Option<u64>,
}

impl Schedule {
    /// Creates a stopped stream.
    pub(super) fn new(arrivals: Arrivals, seed: u64) -> Self {
        let mut schedule = Self {
            arrivals,
            dice: ChaCha8Rng::seed_from_u64(seed),
            rate: Rate::STOPPED,
            since: Moment::ZERO,
            next: 0.0,
            left: None,
        };
        schedule.next = schedule.gap();
        schedule
    }

    /// Sets the rate from now on. The caller has taken the arrivals due before `now`; what is left of them
    /// becomes one arrival at most, never a burst.
    pub(super) fn set_rate(&mut self, now: Moment, rate: Rate) {
        let passed = self.rate.expected(now.saturating_sub(self.since));
        self.next = (self.next - passed).max(0.0);
        self.rate = rate;
        self.since = now;
        self.left = None;
    }

    /// Schedules `count` arrivals from now on, evenly spaced whatever the stream's usual spacing, the first
    /// one at once. After the last one the stream stops.
    pub(super) fn send(&mut self, now: Moment, count: u64, per_second: f64) {
        self.set_rate(now, Rate::Steady(per_second));
        self.next = 0.0;
        self.left = Some(count);
    }

    /// True while a counted number of arrivals is scheduled.
    pub(super) fn is_counted(&self) -> bool {
        self.left.is_some()
    }

    /// Makes up for a pause of the caller. If the next of a counted number is overdue by more than `longest`,
    /// all of them are shifted to now, as evenly spaced as before.
    pub(super) fn make_up_for_a_pause(&mut self, now: Moment, longest: Duration) {
        if !self.is_counted() {
            return;
        }
        let overdue = self.next_due().map_or(Duration::ZERO, |due| now.saturating_sub(due));
        if overdue > longest {
            self.since += overdue;
        }
    }

    /// The moment of the next arrival. `None` if there is none at this rate.
    pub(super) fn next_due(&self) -> Option<Moment> {
        if self.left == Some(0) {
            return None;
        }
        self.since.checked_add(self.rate.reaches(self.next)?)
    }

    /// Takes the next arrival if it is due by `now`, and returns the moment it was meant for.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<Moment> {
        let due = self.next_due().filter(|due| *due <= now)?;
        self.next += self.gap();
        self.left = self.left.map(|left| left - 1);
        Some(due)
    }

    fn gap(&mut self) -> f64 {
        match self.arrivals {
            _ if self.left.is_some() => 1.0,
            Arrivals::Constant => 1.0,
            // 1 - [0, 1) is never 0, so the logarithm is finite.
            Arrivals::Poisson => -(1.0 - self.dice.random::<f64>()).ln(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: f64) -> Moment {
        Duration::from_secs_f64(seconds)
    }

    fn due(schedule: &mut Schedule, now: f64) -> Vec<f64> {
        std::iter::from_fn(|| schedule.take_due(seconds(now))).map(|due| due.as_secs_f64()).collect()
    }

    fn schedule(arrivals: Arrivals, rate: Rate) -> Schedule {
        let mut schedule = Schedule::new(arrivals, 7);
        schedule.set_rate(Moment::ZERO, rate);
        schedule
    }

    #[test]
    fn constant_spacing_is_exact() {
        let mut schedule = schedule(Arrivals::Constant, Rate::Steady(100.0));
        for n in 1..=100_000u32 {
            assert_eq!(schedule.take_due(Moment::MAX), Some(Duration::from_millis(10) * n));
        }
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_variance_of_an_exponential() {
        let mut schedule = schedule(Arrivals::Poisson, Rate::Steady(100.0));
        let times = due(&mut schedule, 1_000.0);
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 100.0 - 1.0).abs() < 0.02, "mean {mean}");
        assert!((variance * 10_000.0 - 1.0).abs() < 0.05, "variance {variance}");
    }

    #[test]
    fn poisson_counts_per_second_vary_as_they_should() {
        let times = due(&mut schedule(Arrivals::Poisson, Rate::Steady(50.0)), 4_000.0);
        let mut counts = vec![0.0; 4_000];
        times.iter().for_each(|time| counts[*time as usize] += 1.0);
        let mean = counts.iter().sum::<f64>() / 4_000.0;
        let variance = counts.iter().map(|count: &f64| (count - mean).powi(2)).sum::<f64>() / 4_000.0;
        assert!((variance / mean - 1.0).abs() < 0.1, "mean {mean}, variance {variance}");
    }

    #[test]
    fn a_ramp_sends_half_of_what_its_end_would() {
        let rate = Rate::Ramp { from: 0.0, to: 100.0, over: Duration::from_secs(10) };
        let times = due(&mut schedule(Arrivals::Constant, rate), 10.0);
        assert_eq!(times.len(), 500);
        assert!(times[0] > 0.4, "the first of a ramp from nothing is not at once");
    }

    #[test]
    fn the_same_seed_gives_the_same_arrivals() {
        let run = || due(&mut schedule(Arrivals::Poisson, Rate::Steady(10.0)), 20.0);
        assert_eq!(run(), run());
    }

    #[test]
    fn a_new_stream_is_at_rest() {
        assert_eq!(Schedule::new(Arrivals::Poisson, 1).next_due(), None);
    }

    #[test]
    fn a_new_rate_counts_from_now_and_keeps_the_rest_of_the_gap() {
        let mut schedule = schedule(Arrivals::Constant, Rate::Steady(1.0));
        schedule.set_rate(seconds(0.5), Rate::Steady(10.0));
        assert_eq!(due(&mut schedule, 0.75), [0.55, 0.65, 0.75]);
    }

    #[test]
    fn a_stop_and_a_start_produce_no_burst() {
        let mut schedule = schedule(Arrivals::Constant, Rate::Steady(100.0));
        assert_eq!(due(&mut schedule, 1.0).len(), 100);
        schedule.set_rate(seconds(1.0), Rate::STOPPED);
        assert_eq!(due(&mut schedule, 60.0).len(), 0);
        schedule.set_rate(seconds(60.0), Rate::Steady(100.0));
        assert_eq!(due(&mut schedule, 60.1).len(), 10);
    }

    #[test]
    fn a_counted_number_comes_evenly_and_then_none() {
        let mut schedule = schedule(Arrivals::Poisson, Rate::STOPPED);
        schedule.send(seconds(1.0), 4, 10.0);
        assert_eq!(due(&mut schedule, 60.0), [1.0, 1.1, 1.2, 1.3]);
        assert_eq!(schedule.next_due(), None);
        schedule.set_rate(seconds(60.0), Rate::Steady(100.0));
        assert!(schedule.next_due().is_some());
    }

    #[test]
    fn a_counted_number_waits_for_who_was_away_and_comes_as_no_burst() {
        let longest = Duration::from_millis(100);
        let mut counted = schedule(Arrivals::Poisson, Rate::STOPPED);
        counted.send(seconds(1.0), 4, 10.0);
        assert_eq!(due(&mut counted, 1.0), [1.0]);
        counted.make_up_for_a_pause(seconds(1.15), longest);
        assert_eq!(counted.next_due(), Some(seconds(1.1)), "a little late is late");
        counted.make_up_for_a_pause(seconds(3.0), longest);
        assert_eq!(due(&mut counted, 3.0), [3.0]);
        assert_eq!(due(&mut counted, 60.0).len(), 2);
        let mut steady = schedule(Arrivals::Constant, Rate::Steady(10.0));
        steady.make_up_for_a_pause(seconds(3.0), longest);
        assert_eq!(steady.next_due(), Some(seconds(0.1)), "others are entered as not sent");
    }

    #[test]
    fn arrivals_nobody_took_before_a_change_become_one() {
        let mut schedule = schedule(Arrivals::Constant, Rate::Steady(100.0));
        schedule.set_rate(seconds(5.0), Rate::Steady(1.0));
        assert_eq!(due(&mut schedule, 5.5), [5.0]);
    }

    #[test]
    fn a_slider_moved_all_the_time_does_not_starve_the_stream() {
        let mut schedule = schedule(Arrivals::Constant, Rate::Steady(10.0));
        let mut sent = 0;
        for step in 1..=1_000 {
            let now = f64::from(step) * 0.01;
            sent += due(&mut schedule, now).len();
            schedule.set_rate(seconds(now), Rate::Steady(10.0));
        }
        assert!((99..=100).contains(&sent), "{sent}");
    }

    proptest! {
        #[test]
        fn arrivals_come_in_order_and_at_the_rate(
            seed: u64, changes in proptest::collection::vec((0.0..400.0f64, 0.1..3.0f64), 1..8),
        ) {
            let mut schedule = Schedule::new(Arrivals::Poisson, seed);
            let (mut now, mut expected, mut times) = (0.0, 0.0, Vec::new());
            for (rate, lasts) in changes {
                schedule.set_rate(seconds(now), Rate::Steady(rate));
                now += lasts;
                expected += rate * lasts;
                times.extend(due(&mut schedule, now));
            }
            prop_assert!(times.is_sorted());
            let spread = expected.sqrt().max(1.0);
            prop_assert!((times.len() as f64 - expected).abs() < 6.0 * spread + 2.0);
        }
    }
}
