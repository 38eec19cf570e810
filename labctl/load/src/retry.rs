//! Askers that ask again when they were not answered well: how often, after what pause, and within which
//! budget. An attempt of the same asker is no arrival: the loop stays open.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use super::Outcome;

/// How an asker asks again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// How often at most, after the first attempt.
    pub times: u32,
    /// How long it waits before each further attempt.
    pub pause: Duration,
    /// How many further attempts there may be for each asker, over all askers of the stream: 0.1 is one in
    /// ten. Without it there is no such limit.
    pub budget: Option<f64>,
}

impl Retry {
    /// How long an asker waits at most when each attempt may take this long.
    pub fn patience(&self, timeout: Duration) -> Duration {
        timeout * (self.times + 1) + self.pause * self.times
    }
}

/// Whether another attempt may end otherwise. A client's error stays one, and what was wrong with the
/// generator is not repeated.
pub(super) fn is_worth_repeating(outcome: Outcome) -> bool {
    !outcome.is_success() && outcome != Outcome::ClientError && !outcome.is_the_generators()
}

/// What is left of a stream's budget: a token bucket, as in Finagle and Linkerd. Each asker puts in a share of
/// a token, and each further attempt takes a whole one out.
#[derive(Debug)]
pub(super) struct RetryBudget {
    share: f64,
    tokens: f64,
}

impl RetryBudget {
    /// As many tokens as there can be: a few failures among many good answers are repeated at once.
    const TOKENS_MAX: f64 = 10.0;

    pub(super) fn new(share: f64) -> Self {
        Self { share, tokens: Self::TOKENS_MAX }
    }

    /// There is another asker.
    pub(super) fn deposit(&mut self) {
        self.tokens = (self.tokens + self.share).min(Self::TOKENS_MAX);
    }

    /// Takes a token for a further attempt. False when there is none.
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
