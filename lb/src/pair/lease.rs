//! How long this balancer may still answer.
//!
//! The threads that pass requests on look at it before they answer: a process that was frozen and
//! goes on has not been told yet that the address belongs to somebody else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A moment that is moved on by one thread and read by many.
#[derive(Debug)]
pub struct Lease {
    origin: Instant,
    /// Nanoseconds after the origin.
    until: AtomicU64,
}

impl Lease {
    /// One that has run out.
    pub fn new(origin: Instant) -> Self {
        Self { origin, until: AtomicU64::new(0) }
    }

    /// From now on it lasts until then.
    pub fn extend_to(&self, until: Instant) {
        self.set(u64::try_from((until - self.origin).as_nanos()).unwrap_or(u64::MAX));
    }

    /// From now on it has run out.
    pub fn end(&self) {
        self.set(0);
    }

    /// From now on it has no end: the other one has agreed that what was begun is finished here.
    pub fn forget(&self) {
        self.set(u64::MAX);
    }

    /// Whether it lasts at this moment.
    pub fn lasts(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.origin) < Duration::from_nanos(self.until.load(Ordering::Acquire))
    }

    fn set(&self, until: u64) {
        self.until.store(until, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_as_long_as_it_was_extended() {
        let start = Instant::now();
        let lease = Lease::new(start);
        assert!(!lease.lasts(start));
        lease.extend_to(start + Duration::from_millis(600));
        assert!(lease.lasts(start + Duration::from_millis(599)));
        assert!(!lease.lasts(start + Duration::from_millis(600)));
        lease.end();
        assert!(!lease.lasts(start));
        lease.forget();
        assert!(lease.lasts(start + Duration::from_secs(1_000_000)));
    }
}
