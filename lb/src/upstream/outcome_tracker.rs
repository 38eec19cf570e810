//! Tracks the outcomes of an upstream's requests. It only counts; the
//! [`Breaker`](crate::upstream::breaker::Breaker) decides what follows, when the keeper is woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

use tokio::sync::Notify;

use super::Outcome;
use super::breaker::Streak;

/// The latest run of equal outcomes, and whether requests are admitted one at a time.
#[derive(Debug, Default)]
pub struct OutcomeTracker {
    /// Failures in a row that wake the keeper; 0 turns it off.
    fall: u32,
    /// Failures in a row, 0 if nothing is known, [`GOOD`] if the latest request went well.
    streak: AtomicI32,
    /// One of [`FREELY`], [`TRIAL`], [`ON_TRIAL`].
    admission: AtomicU8,
    called: Arc<Notify>,
}

const GOOD: i32 = -1;

/// Every request is admitted.
const FREELY: u8 = 0;
/// The next request is admitted as a trial.
const TRIAL: u8 = 1;
/// A trial request is in flight; no other is admitted until it is judged.
const ON_TRIAL: u8 = 2;

/// How a request was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Without restriction.
    Freely,
    /// As a trial, while all others are rejected.
    OnTrial,
}

impl OutcomeTracker {
    /// Creates a tracker without a history. `called` is notified when the breaker has something to
    /// decide.
    pub fn new(fall: u32, called: Arc<Notify>) -> Self {
        Self { fall, called, ..Self::default() }
    }

    /// Admits a request, unless a trial is in flight.
    pub fn admit(&self) -> Option<Admission> {
        if self.admission.load(Ordering::Relaxed) == FREELY {
            return Some(Admission::Freely);
        }
        let taken = self.admission.compare_exchange(TRIAL, ON_TRIAL, Ordering::Relaxed, Ordering::Relaxed);
        match taken {
            Ok(_) => Some(Admission::OnTrial),
            Err(FREELY) => Some(Admission::Freely),
            Err(_) => None,
        }
    }

    /// Records how a request ended.
    pub fn note(&self, outcome: Outcome, admission: Admission) {
        if self.fall == 0
            || admission == Admission::Freely && self.admission.load(Ordering::Relaxed) != FREELY
        {
            // A request that started before the trial says nothing about it.
            return;
        }
        match outcome {
            Outcome::Abandoned | Outcome::Local if admission == Admission::OnTrial => self.begin_trial(),
            // The fault was the client's, or this balancer's.
            Outcome::Abandoned | Outcome::Local => {}
            Outcome::Success | Outcome::Redirection | Outcome::ClientError => self.note_good(admission),
            Outcome::ServerError | Outcome::ConnectFailed | Outcome::TimedOut | Outcome::Broken => {
                self.note_failure(admission);
            }
        }
    }

    fn note_good(&self, admission: Admission) {
        // Nearly always it was good already, and then nothing is written.
        if self.streak.load(Ordering::Relaxed) != GOOD {
            self.streak.store(GOOD, Ordering::Relaxed);
        }
        if admission == Admission::OnTrial {
            self.called.notify_one();
        }
    }

    fn note_failure(&self, admission: Admission) {
        let one_more = |streak: i32| Some(streak.max(0).saturating_add(1));
        let before =
            self.streak.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).unwrap_or_default();
        if before.max(0).unsigned_abs() + 1 >= self.fall || admission == Admission::OnTrial {
            self.called.notify_one();
        }
    }

    /// The latest run of equal outcomes.
    pub fn streak(&self) -> Streak {
        match self.streak.load(Ordering::Relaxed) {
            0 => Streak::Nothing,
            GOOD => Streak::Good,
            failures => Streak::Failures(failures.unsigned_abs()),
        }
    }

    /// Admits every request from now on, and forgets the history.
    pub fn begin_anew(&self) {
        self.streak.store(0, Ordering::Relaxed);
        self.admission.store(FREELY, Ordering::Relaxed);
    }

    /// Admits one trial request from now on, and forgets the history.
    pub fn begin_trial(&self) {
        self.streak.store(0, Ordering::Relaxed);
        self.admission.store(TRIAL, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker() -> OutcomeTracker {
        OutcomeTracker::new(3, Arc::default())
    }

    #[test]
    fn failures_count_in_a_row_and_the_client_s_and_the_balancer_s_own_do_not() {
        let outcomes = tracker();
        for outcome in [Outcome::Broken, Outcome::Abandoned, Outcome::Local, Outcome::ServerError] {
            outcomes.note(outcome, Admission::Freely);
        }
        assert_eq!(outcomes.streak(), Streak::Failures(2));
        outcomes.note(Outcome::ClientError, Admission::Freely);
        assert_eq!(outcomes.streak(), Streak::Good);
        outcomes.note(Outcome::TimedOut, Admission::Freely);
        assert_eq!(outcomes.streak(), Streak::Failures(1));
    }

    #[test]
    fn one_at_a_time_is_tried() {
        let outcomes = tracker();
        outcomes.begin_trial();
        assert_eq!(outcomes.admit(), Some(Admission::OnTrial));
        assert_eq!(outcomes.admit(), None);
        outcomes.note(Outcome::Broken, Admission::Freely);
        assert_eq!(outcomes.streak(), Streak::Nothing, "one from before the trial");
        outcomes.note(Outcome::Abandoned, Admission::OnTrial);
        assert_eq!(outcomes.admit(), Some(Admission::OnTrial), "the client went away: another trial");
        outcomes.note(Outcome::Local, Admission::OnTrial);
        assert_eq!(outcomes.admit(), Some(Admission::OnTrial), "this side was at fault: another trial");
        outcomes.note(Outcome::Success, Admission::OnTrial);
        assert_eq!((outcomes.streak(), outcomes.admit()), (Streak::Good, None), "until it is judged");
        outcomes.begin_anew();
        assert_eq!(outcomes.admit(), Some(Admission::Freely));
    }
}
