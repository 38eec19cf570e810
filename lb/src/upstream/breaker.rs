//! Passive health checks (outlier ejection): a circuit breaker that judges an upstream by the
//! outcomes of its requests.
//!
//! ```text
//!               fall failures in a row
//!      Closed ──────────────────────────▶ Open
//!        ▲                                │  ▲
//!        │ the trial             its time │  │ the trial
//!        │ goes well              is over ▼  │ fails
//!        └───────────────────────────── HalfOpen
//! ```
//!
//! Closed lets requests through. Open lets none through. Half-open lets one at a time through, as a
//! trial. Each time the breaker opens again, it stays open for longer, and it forgets that only
//! after a long time of good outcomes. So a flapping server is soon left alone.
#![deny(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Failures in a row that open it; 0 turns it off.
    pub fall: u32,
    /// How long it stays open the first time; the n-th time, n times as long.
    pub open: Duration,
    /// The longest time that it stays open.
    pub open_max: Duration,
}

/// The outcomes of the latest requests, as far as they say something about the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streak {
    /// Nothing is known since the last state change.
    Nothing,
    /// The latest request went well.
    Good,
    /// This many requests in a row failed.
    Failures(u32),
}

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It lets everything through.
    Closed,
    /// It lets nothing through.
    Open {
        /// When it becomes half-open.
        until: Instant,
    },
    /// It lets one request through at a time.
    HalfOpen,
}

impl State {
    /// The state's name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It lets nothing through any more.
    Opened {
        /// Failures in a row that opened it.
        failures: u32,
        /// How long it stays open.
        time: Duration,
    },
    /// It lets a trial request through.
    HalfOpened,
    /// It lets everything through again.
    Closed,
}

/// One upstream's breaker.
#[derive(Debug, Clone, Copy)]
pub struct Breaker {
    rules: Rules,
    state: State,
    /// How often it has opened, minus the openings that were forgotten.
    openings: u32,
    closed_at: Option<Instant>,
}

impl Breaker {
    /// Creates a closed breaker.
    pub fn new(rules: Rules) -> Self {
        Self { rules, state: State::Closed, openings: 0, closed_at: None }
    }

    /// The current state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Evaluates the latest outcomes at this time. With `may_open` false a closed breaker stays
    /// closed, because too many other upstreams are out already.
    pub fn observe(&mut self, streak: Streak, may_open: bool, now: Instant) -> Option<Change> {
        match (self.state, streak) {
            (State::Closed, Streak::Failures(failures))
                if may_open && self.rules.fall > 0 && failures >= self.rules.fall =>
            {
                Some(self.open(failures, now))
            }
            (State::Open { until }, _) if now >= until => Some(self.half_open()),
            (State::HalfOpen, Streak::Failures(failures)) => Some(self.open(failures, now)),
            (State::HalfOpen, Streak::Good) => {
                self.state = State::Closed;
                self.closed_at = Some(now);
                Some(Change::Closed)
            }
            _ => None,
        }
    }

    /// Notes that active checks have seen the upstream go down and come back. It was probably
    /// restarted, so it need not wait for its trial.
    pub fn came_back(&mut self) -> Option<Change> {
        matches!(self.state, State::Open { .. }).then(|| self.half_open())
    }

    /// Returns when time alone will change the state.
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed | State::HalfOpen => None,
        }
    }

    fn open(&mut self, failures: u32, now: Instant) -> Change {
        let good_for = self.closed_at.map_or(Duration::ZERO, |closed| now.saturating_duration_since(closed));
        let openings = self.openings.saturating_sub(self.forgotten_after(good_for)).saturating_add(1);
        let time = self.rules.open.saturating_mul(openings).min(self.rules.open_max);
        self.openings = openings;
        self.state = State::Open { until: now + time };
        Change::Opened { failures, time }
    }

    /// Returns how many openings are forgotten: one for every six opening times of good outcomes (a
    /// minute, by default).
    fn forgotten_after(&self, good_for: Duration) -> u32 {
        let times = good_for.as_nanos().checked_div(6 * self.rules.open.as_nanos()).unwrap_or_default();
        u32::try_from(times).unwrap_or(u32::MAX)
    }

    fn half_open(&mut self) -> Change {
        self.state = State::HalfOpen;
        Change::HalfOpened
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test needs some moment to begin with")]

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const RULES: Rules = Rules { fall: 3, open: Duration::from_secs(10), open_max: Duration::from_secs(300) };

    fn opened(seconds: u32, failures: u32) -> Option<Change> {
        Some(Change::Opened { failures, time: seconds * SECOND })
    }

    #[test]
    fn opens_after_failures_in_a_row_and_closes_after_a_good_trial() {
        let (mut breaker, start) = (Breaker::new(RULES), Instant::now());
        assert_eq!(breaker.observe(Streak::Failures(2), true, start), None);
        assert_eq!(breaker.observe(Streak::Failures(3), true, start), opened(10, 3));
        assert_eq!(breaker.due(), Some(start + 10 * SECOND));
        // Requests that were in flight still end, and change nothing.
        assert_eq!(breaker.observe(Streak::Good, true, start + 9 * SECOND), None);
        assert_eq!(breaker.observe(Streak::Nothing, true, start + 10 * SECOND), Some(Change::HalfOpened));
        assert_eq!(breaker.observe(Streak::Good, true, start + 11 * SECOND), Some(Change::Closed));
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn a_failed_trial_opens_it_for_longer() {
        let (mut breaker, mut now) = (Breaker::new(RULES), Instant::now());
        breaker.observe(Streak::Failures(3), true, now);
        for seconds in [20, 30, 40] {
            now += 100 * SECOND;
            breaker.observe(Streak::Nothing, true, now);
            assert_eq!(breaker.observe(Streak::Failures(1), true, now), opened(seconds, 1));
        }
    }

    #[test]
    fn stays_closed_when_too_many_are_out_or_it_is_switched_off() {
        let now = Instant::now();
        assert_eq!(Breaker::new(RULES).observe(Streak::Failures(9), false, now), None);
        let off = Rules { fall: 0, ..RULES };
        assert_eq!(Breaker::new(off).observe(Streak::Failures(9), true, now), None);
    }

    #[test]
    fn one_that_checks_have_seen_come_back_is_tried_at_once() {
        let mut breaker = Breaker::new(RULES);
        assert_eq!(breaker.came_back(), None);
        breaker.observe(Streak::Failures(3), true, Instant::now());
        assert_eq!(breaker.came_back(), Some(Change::HalfOpened));
    }

    /// Up for a second, down for a second, for ten minutes, with requests all the time.
    #[test]
    fn a_flapping_upstream_is_left_alone() {
        let (mut breaker, start) = (Breaker::new(RULES), Instant::now());
        let (mut failures, mut changes) = (0, Vec::new());
        for tick in 0..6_000u32 {
            let now = start + tick * SECOND / 10;
            let up = tick / 10 % 2 == 1;
            let streak = match breaker.state() {
                State::Open { .. } => Streak::Nothing,
                _ if up => Streak::Good,
                _ => Streak::Failures(failures + 1),
            };
            failures = if let Streak::Failures(failures) = streak { failures } else { 0 };
            if matches!(breaker.observe(streak, true, now), Some(Change::Opened { .. } | Change::Closed)) {
                changes.push(tick / 600);
            }
        }
        let last_minutes = changes.iter().filter(|minute| **minute >= 5).count();
        assert!(changes.len() <= 30 && last_minutes <= 10, "changes by minute: {changes:?}");
    }

    #[test]
    fn good_conduct_is_rewarded() {
        let (mut breaker, mut now) = (Breaker::new(RULES), Instant::now());
        for quiet in [0, 0, 0, 60, 10_000] {
            now += quiet * SECOND;
            breaker.observe(Streak::Failures(3), true, now);
            breaker.came_back();
            breaker.observe(Streak::Good, true, now);
        }
        // There were four openings: the minute forgot one, the long time forgot all.
        assert_eq!(breaker.observe(Streak::Failures(3), true, now), opened(20, 3));
    }

    proptest! {
        /// Whatever happens, it is never open for longer than the limit, and time alone ends it.
        #[test]
        fn it_never_stays_open_for_ever(steps in prop::collection::vec((0u32..100, 0u32..5, any::<bool>()), 1..80)) {
            let (mut breaker, mut now) = (Breaker::new(RULES), Instant::now());
            for (seconds, failures, may_open) in steps {
                now += seconds * SECOND;
                let streak = if failures == 0 { Streak::Good } else { Streak::Failures(failures) };
                breaker.observe(streak, may_open, now);
                prop_assert!(breaker.due().is_none_or(|due| due <= now + RULES.open_max));
                let mut later = breaker;
                later.observe(Streak::Nothing, true, now + RULES.open_max);
                prop_assert!(later.due().is_none());
            }
        }
    }
}
