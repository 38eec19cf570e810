//! A circuit breaker: decides when Redis is called, and when it is left alone. Pure; time is an
//! argument.
//!
//! ```text
//! closed ── too many failures in a row, or the connection is lost ──> open
//!    ^                                                                │ its rest is over
//!    │ the trial succeeds                                             v
//!    └────────────────────────────────────────────────────────── half-open
//!                                   the trial fails: open again, with a longer rest
//! ```
//!
//! Closed lets requests through; open and half-open do not. The trial is a connection made in the
//! background, so no request pays for finding out that Redis is still gone.

#![deny(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

/// Failures in a row that open the breaker.
const FAILURES_MAX: u32 = 3;

/// The rest after the first failed trial; it doubles up to [`REST_MAX`].
const REST_MIN: Duration = Duration::from_millis(50);

/// The longest rest. Together with the time limits of a trial it stays below two seconds, the time
/// within which a Redis that is back must be noticed.
const REST_MAX: Duration = Duration::from_millis(500);

/// Decides whether Redis is called.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, rest: Duration },
    HalfOpen { rest: Duration },
}

/// A breaker's state, without its figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Position {
    /// Requests go through.
    Closed,
    /// No requests go through.
    Open,
    /// A trial is under way in the background.
    HalfOpen,
}

impl Position {
    /// The label in the metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

impl Breaker {
    /// Creates a breaker that is open, because nothing is known yet, with its first trial due.
    pub(super) fn new(now: Instant) -> Self {
        Self { state: State::Open { until: now, rest: REST_MIN } }
    }

    /// The current state.
    pub(super) fn position(&self) -> Position {
        match self.state {
            State::Closed { .. } => Position::Closed,
            State::Open { .. } => Position::Open,
            State::HalfOpen { .. } => Position::HalfOpen,
        }
    }

    /// True if a success would change the state.
    pub(super) fn remembers_failures(&self) -> bool {
        matches!(self.state, State::Closed { failures: 1.. })
    }

    /// Notes a request that was answered.
    pub(super) fn succeeded(&mut self) {
        if let State::Closed { failures } = &mut self.state {
            *failures = 0;
        }
    }

    /// Notes a request that was not answered in time.
    pub(super) fn failed(&mut self, now: Instant) {
        if let State::Closed { failures } = &mut self.state {
            *failures += 1;
            if *failures >= FAILURES_MAX {
                self.lost(now);
            }
        }
    }

    /// Notes that the connection is lost. The first trial is due at once, because perhaps only the
    /// connection failed.
    pub(super) fn lost(&mut self, now: Instant) {
        if matches!(self.state, State::Closed { .. }) {
            self.state = State::Open { until: now, rest: REST_MIN };
        }
    }

    /// Returns when the next trial is due; `None` while requests go through or a trial is under way.
    pub(super) fn trial_due(&self) -> Option<Instant> {
        match self.state {
            State::Open { until, .. } => Some(until),
            State::Closed { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Notes the start of a trial.
    pub(super) fn trial_began(&mut self) {
        if let State::Open { rest, .. } = self.state {
            self.state = State::HalfOpen { rest };
        }
    }

    /// Notes that the trial reached Redis.
    pub(super) fn trial_succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// Notes that the trial failed.
    pub(super) fn trial_failed(&mut self, now: Instant) {
        if let State::HalfOpen { rest } = self.state {
            self.state = State::Open { until: now + rest, rest: (rest * 2).min(REST_MAX) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(now);
        breaker.trial_began();
        breaker.trial_succeeded();
        breaker
    }

    #[test]
    fn nothing_goes_through_before_the_first_trial() {
        let now = some_moment();
        let mut breaker = Breaker::new(now);
        assert_eq!((breaker.position(), breaker.trial_due()), (Position::Open, Some(now)));
        breaker.trial_began();
        assert_eq!((breaker.position(), breaker.trial_due()), (Position::HalfOpen, None));
        breaker.trial_succeeded();
        assert_eq!((breaker.position(), breaker.trial_due()), (Position::Closed, None));
    }

    #[test]
    fn it_opens_after_three_failures_in_a_row_and_not_before() {
        let now = some_moment();
        let mut breaker = closed(now);
        for _ in 0..10 {
            breaker.failed(now);
            breaker.failed(now);
            assert!(breaker.remembers_failures());
            breaker.succeeded();
            assert_eq!(breaker.position(), Position::Closed);
        }
        for _ in 0..FAILURES_MAX {
            breaker.failed(now);
        }
        assert_eq!((breaker.position(), breaker.trial_due()), (Position::Open, Some(now)));
    }

    #[test]
    fn a_lost_connection_opens_it_at_once() {
        let now = some_moment();
        let mut breaker = closed(now);
        breaker.lost(now);
        assert_eq!(breaker.position(), Position::Open);
    }

    #[test]
    fn rests_grow_but_a_redis_that_is_back_is_noticed_soon() {
        let mut now = some_moment();
        let mut breaker = closed(now);
        breaker.lost(now);
        let mut rests = Vec::new();
        for _ in 0..7 {
            breaker.trial_began();
            breaker.trial_failed(now);
            let due = breaker.trial_due().unwrap();
            rests.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(rests, [50, 100, 200, 400, 500, 500, 500]);
        // After a successful trial, the next outage begins with a short rest again.
        breaker.trial_began();
        breaker.trial_succeeded();
        breaker.lost(now);
        breaker.trial_began();
        breaker.trial_failed(now);
        assert_eq!(breaker.trial_due(), Some(now + REST_MIN));
    }

    #[test]
    fn late_reports_change_nothing_once_it_is_open() {
        let now = some_moment();
        let mut breaker = closed(now);
        breaker.lost(now);
        breaker.trial_began();
        breaker.trial_failed(now);
        let due = breaker.trial_due();
        breaker.succeeded();
        breaker.failed(now);
        breaker.lost(now);
        assert_eq!((breaker.position(), breaker.trial_due()), (Position::Open, due));
    }

    #[allow(clippy::disallowed_methods, reason = "some moment to count from")]
    fn some_moment() -> Instant {
        Instant::now()
    }
}
