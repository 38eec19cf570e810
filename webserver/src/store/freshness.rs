//! Decides when a copy is fresh, stale, or useless. Pure; time and randomness are arguments.
//!
//! ```text
//! asked ──────────────> past its time ──────────────────────> too old
//!   │       fresh             │            stale                 │     of no use
//! ```
//!
//! A copy's age counts from when the database was *asked* for it: a slow answer may already be out of
//! date when it arrives.

#![deny(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

/// The longest time that a missing document is cached: it may be written soon.
const NOTHING_FRESH_FOR: Duration = Duration::from_secs(1);

/// After a failed fill, the database is left alone for this long: readers get the stale copy at once,
/// or the failure if there is no copy.
pub const REST: Duration = Duration::from_secs(1);

/// The fraction of its lifetime by which a copy may expire early.
const JITTER: f64 = 0.2;

/// How long copies are fresh and stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The longest time that a copy is fresh.
    pub ttl: Duration,
    /// How long a reader waits for a refill before it takes the stale copy.
    pub stale_after: Duration,
    /// How long a copy may still be served after it was last fresh.
    pub stale_for: Duration,
}

/// How long one copy is fresh and stale, counted from when the database was asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lasting {
    /// How long it is fresh.
    pub fresh: Duration,
    /// How long after that it may still be served.
    pub stale: Duration,
}

/// The expiry times of one copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    fresh_until: Instant,
    useful_until: Instant,
}

/// What a copy can be used for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It can be served.
    Fresh,
    /// It can be served if the database does not answer in time.
    Stale,
    /// It cannot be served.
    Useless,
}

impl Rules {
    /// Returns how long a copy is good for. `dice` is between 0 and 1 and spreads the expiry of copies
    /// that were made together.
    pub fn lasting(&self, found: bool, dice: f64) -> Lasting {
        let (ttl, stale) = match found {
            true => (self.ttl, self.stale_for),
            false => (self.ttl.min(NOTHING_FRESH_FOR), Duration::ZERO),
        };
        Lasting { fresh: ttl.mul_f64(1.0 - JITTER * dice.clamp(0.0, 1.0)), stale }
    }

    /// Returns the expiry times of a copy that the database was asked for at `asked`.
    pub fn times(&self, asked: Instant, found: bool, dice: f64) -> Times {
        let Lasting { fresh, stale } = self.lasting(found, dice);
        let fresh_until = asked + fresh;
        Times { fresh_until, useful_until: fresh_until + stale }
    }

    /// Returns how long a reader with a stale copy waits for a fill that began at `began`. Once the
    /// fill is known to be late, readers no longer wait for it.
    pub fn patience(&self, began: Instant, now: Instant) -> Duration {
        self.stale_after.saturating_sub(now.saturating_duration_since(began))
    }

    /// The longest time that a copy can be used.
    pub fn useful_for_max(&self) -> Duration {
        self.ttl + self.stale_for
    }
}

impl Times {
    /// Judges the copy at this time.
    pub fn judge(&self, now: Instant) -> Verdict {
        if now < self.fresh_until {
            Verdict::Fresh
        } else if now >= self.useful_until {
            Verdict::Useless
        } else {
            Verdict::Stale
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        ttl: Duration::from_secs(30),
        stale_after: Duration::from_millis(50),
        stale_for: Duration::from_secs(600),
    };

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_copy_is_fresh_then_stale_then_useless() {
        let asked = Instant::now_in_tests();
        let times = RULES.times(asked, true, 0.0);
        let verdicts = [0.0, 29.9, 30.0, 629.9, 630.0].map(|age| times.judge(asked + seconds(age)));
        use Verdict::{Fresh, Stale, Useless};
        assert_eq!(verdicts, [Fresh, Fresh, Stale, Stale, Useless]);
    }

    #[test]
    fn chance_shortens_the_time_of_a_copy_by_a_fifth_at_most() {
        let asked = Instant::now_in_tests();
        let fresh_at =
            |dice, age| RULES.times(asked, true, dice).judge(asked + seconds(age)) == Verdict::Fresh;
        assert!(fresh_at(1.0, 23.9) && !fresh_at(1.0, 24.1));
        assert!(fresh_at(0.5, 26.9) && !fresh_at(0.5, 27.1));
    }

    #[test]
    fn that_there_is_nothing_is_known_for_a_second_and_never_stale() {
        let asked = Instant::now_in_tests();
        let times = RULES.times(asked, false, 0.0);
        assert_eq!(times.judge(asked + seconds(0.9)), Verdict::Fresh);
        assert_eq!(times.judge(asked + seconds(1.0)), Verdict::Useless);
    }

    #[test]
    fn nobody_waits_for_a_fill_that_is_late_already() {
        let began = Instant::now_in_tests();
        let patience = |age| RULES.patience(began, began + Duration::from_millis(age));
        assert_eq!([0, 20, 50, 900].map(patience).map(|left| left.as_millis()), [50, 30, 0, 0]);
    }

    trait NowInTests {
        fn now_in_tests() -> Self;
    }
    impl NowInTests for Instant {
        #[allow(clippy::disallowed_methods, reason = "some moment to count from")]
        fn now_in_tests() -> Self {
            Instant::now()
        }
    }
}
