//! Decides when a failed request may be sent to another upstream.
//!
//! A request is retried only if no upstream can have begun to work on it or if it is safe to
//! repeat; only before the client has seen a byte of a response; never on the same upstream; and
//! only within the retry budget. Without a budget, a fleet that fails under its load would get a
//! multiple of that load (a retry storm).
#![deny(clippy::disallowed_methods)]

use std::cell::Cell;
use std::time::Duration;

use crate::wire::{KnownHeader, RequestBody, RequestHead};

/// The largest body that is kept to be sent again, in bytes.
pub const BODY_BYTES_MAX: u64 = 64 * 1024;

/// The most retries that `--retries` can ask for.
pub const RETRIES_MAX: u32 = 2;

/// Which requests may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Retries allowed per request; 0 turns retries off.
    pub retries: u32,
    /// True if unsafe methods may be retried when they carry an `Idempotency-Key`.
    pub with_key: bool,
}

impl Rules {
    /// Returns whether a request with an unsafe method may be repeated, so that its body must be
    /// kept: the client says so with an `Idempotency-Key`, and the operator has chosen to trust
    /// that.
    pub fn keeps_body(self, request: &RequestHead) -> bool {
        self.retries > 0
            && self.with_key
            && request.fields.has(KnownHeader::IdempotencyKey)
            && match request.body {
                RequestBody::None => true,
                RequestBody::Length(bytes) => bytes <= BODY_BYTES_MAX,
                RequestBody::Chunked => false,
            }
    }
}

/// Returns the backoff before the n-th retry. The first goes to another upstream at once. If that
/// fails too, something larger may be wrong, so the next one waits for a short random time
/// (jitter), so that retries do not arrive together. `dice` is from 0 to 1.
pub fn pause_before(retry: u32, dice: f64) -> Duration {
    match retry {
        ..=1 => Duration::ZERO,
        _ => Duration::from_millis(10) + Duration::from_millis(20).mul_f64(dice),
    }
}

/// The retry budget: a fifth of the requests, plus a small reserve for bursts.
#[derive(Debug)]
pub struct Budget {
    /// Unit: a fifth of a retry.
    balance: Cell<u32>,
    balance_max: u32,
}

/// Requests that pay for one retry.
const REQUESTS_FOR_A_RETRY: u32 = 5;

/// The reserve, in retries over all threads. It is full at the start, and bounds how far a burst of
/// failures can exceed its fifth.
const SAVED_MAX: u32 = 20;

impl Budget {
    /// Creates the budget of one of `threads` threads. Each thread has its own, so that nothing is
    /// shared.
    pub fn new(threads: usize) -> Self {
        let threads = u32::try_from(threads).unwrap_or(u32::MAX).max(1);
        let balance_max = (SAVED_MAX / threads).max(2) * REQUESTS_FOR_A_RETRY;
        Self { balance: Cell::new(balance_max), balance_max }
    }

    /// Counts a request, which earns a fifth of a retry.
    pub fn deposit(&self) {
        self.balance.set((self.balance.get() + 1).min(self.balance_max));
    }

    /// Withdraws one retry; returns false if the budget is exhausted.
    pub fn withdraw(&self) -> bool {
        let left = self.balance.get().checked_sub(REQUESTS_FOR_A_RETRY);
        left.inspect(|left| self.balance.set(*left)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Plays requests that all fail, each retried as often as allowed, and returns the attempts
    /// made.
    fn attempts_when_all_fail(requests: u32, retries: u32) -> u32 {
        let budget = Budget::new(1);
        (0..requests).fold(0, |attempts, _| {
            budget.deposit();
            attempts + 1 + (0..retries).take_while(|_| budget.withdraw()).count() as u32
        })
    }

    #[test]
    fn when_everything_fails_upstreams_get_at_most_a_quarter_more() {
        for retries in 1..=RETRIES_MAX {
            for requests in [400, 1_000, 100_000] {
                let attempts = attempts_when_all_fail(requests, retries);
                assert!(attempts <= requests + requests / 4, "{attempts} for {requests}");
                assert!(attempts >= requests + requests / 5, "{attempts}: the budget is used");
            }
        }
    }

    #[test]
    fn a_few_failures_among_few_requests_are_all_retried() {
        let budget = Budget::new(2);
        assert!((0..10).all(|_| budget.withdraw()));
        assert!(!budget.withdraw());
    }

    #[test]
    fn a_long_time_without_failures_saves_no_more_than_a_few_retries() {
        for threads in [1, 2, 7] {
            let budget = Budget::new(threads);
            (0..100_000).for_each(|_| budget.deposit());
            let burst = (0..1_000).take_while(|_| budget.withdraw()).count();
            assert!(burst * threads <= SAVED_MAX as usize, "{burst} on each of {threads} threads");
        }
    }

    proptest! {
        #[test]
        fn never_more_than_a_fifth_beyond_what_was_saved(
            steps in prop::collection::vec(any::<bool>(), 0..2_000), threads in 1usize..40,
        ) {
            let budget = Budget::new(threads);
            let (mut requests, mut retries) = (0, 0);
            for wants_retry in steps {
                if wants_retry {
                    retries += u32::from(budget.withdraw());
                } else {
                    budget.deposit();
                    requests += 1;
                }
                prop_assert!(retries <= requests / REQUESTS_FOR_A_RETRY + SAVED_MAX + 1);
            }
        }
    }

    #[test]
    fn what_changes_something_is_sent_twice_only_with_a_key_and_by_consent() {
        let request = |lines: &str| {
            let mut head = RequestHead::default();
            let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            head.read(text.as_bytes(), 8192).unwrap().unwrap();
            head
        };
        let key = request("Idempotency-Key: k\r\nContent-Length: 10\r\n");
        let consent = Rules { retries: 1, with_key: true };
        assert!(consent.keeps_body(&key));
        assert!(!consent.keeps_body(&request("Content-Length: 10\r\n")), "no key");
        assert!(
            !consent.keeps_body(&request("Idempotency-Key: k\r\nContent-Length: 65537\r\n")),
            "too large"
        );
        let chunked = request("Idempotency-Key: k\r\nTransfer-Encoding: chunked\r\n");
        assert!(!consent.keeps_body(&chunked), "nobody knows how large");
        assert!(!Rules { with_key: false, ..consent }.keeps_body(&key), "no consent");
        assert!(!Rules { retries: 0, ..consent }.keeps_body(&key), "no retries");
    }

    #[test]
    fn only_the_second_retry_waits() {
        assert_eq!(pause_before(1, 0.9), Duration::ZERO);
        assert_eq!(pause_before(2, 0.5), Duration::from_millis(20));
    }
}
