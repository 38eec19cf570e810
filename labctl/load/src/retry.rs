//! Retries of failed requests: how many, after what pause, and within which budget. A retry by the same user
//! is not an arrival: the loop stays open.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use super::Outcome;

/// The retry policy of a user.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// The most retries after the first attempt.
    pub times: u32,
    /// The pause before each retry.
    pub pause: Duration,
    /// The retry budget, as retries per user over all users of the stream: 0.1 is one in ten. `None` is
    /// unlimited.
    pub budget: Option<f64>,
}

impl Retry {
    /// The longest a user waits if each attempt may take this long.
    pub fn patience(&self, timeout: Duration) -> Duration {
        timeout * (self.times + 1) + self.pause * self.times
    }
}

/// True if another attempt may succeed. A client error stays one, and a failure of the generator is not
/// repeated.
pub(super) fn is_worth_repeating(outcome: Outcome) -> bool {
    !outcome.is_success() && outcome != Outcome::ClientError && !outcome.is_the_generators()
}

/// The retry budget of a stream: a token bucket, as in Finagle and Linkerd. Each user deposits a share of a
/// token, and each retry withdraws a whole one.
#[derive(Debug)]
pub(super) struct RetryBudget {
    share: f64,
    tokens: f64,
}

impl RetryBudget {
    /// The capacity of the bucket: a few failures among many good answers are retried at once.
    const TOKENS_MAX: f64 = 10.0;

    pub(super) fn new(share: f64) -> Self {
        Self { share, tokens: Self::TOKENS_MAX }
    }

    /// Deposits the share of one more user.
    pub(super) fn deposit(&mut self) {
        self.tokens = (self.tokens + self.share).min(Self::TOKENS_MAX);
    }

    /// Withdraws a token for a retry. False if there is none.
    pub(super) fn withdraw(&mut self) -> bool {
        let is_enough = self.tokens >= 1.0;
        self.tokens -= if is_enough { 1.0 } else { 0.0 };
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_hundred_that_all_fail_a_tenth_ask_again_and_what_was_saved_up() {
        let mut budget = RetryBudget::new(0.1);
        let repeated = (0..1_000).filter(|_| {
            budget.deposit();
            budget.withdraw()
        });
        let repeated = repeated.count();
        assert!((105..=111).contains(&repeated), "{repeated}");
    }

    #[test]
    fn no_more_is_saved_up_than_for_ten_attempts() {
        let mut budget = RetryBudget::new(0.5);
        (0..1_000).for_each(|_| budget.deposit());
        assert_eq!((0..1_000).filter(|_| budget.withdraw()).count(), 10);
    }

    #[test]
    fn what_may_end_otherwise_is_repeated() {
        for outcome in
            [Outcome::Timeout, Outcome::Refused, Outcome::Reset, Outcome::ServerError, Outcome::Shed]
        {
            assert!(is_worth_repeating(outcome), "{outcome:?}");
        }
        for outcome in
            [Outcome::Ok, Outcome::Stale, Outcome::ClientError, Outcome::NotSent, Outcome::Cancelled]
        {
            assert!(!is_worth_repeating(outcome), "{outcome:?}");
        }
    }

    #[test]
    fn an_asker_waits_for_each_of_its_attempts() {
        let retry = Retry { times: 3, pause: Duration::from_millis(100), budget: None };
        assert_eq!(retry.patience(Duration::from_secs(1)), Duration::from_millis(4_300));
    }
}
