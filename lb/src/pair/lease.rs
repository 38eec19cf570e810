//! The lease: how long this balancer may still answer.
//!
//! The worker threads check it before they answer. A process that was frozen and goes on does not
//! know yet that its peer has taken over the address.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A deadline that one thread extends and many read.
#[derive(Debug)]
pub struct Lease {
    origin: Instant,
    /// Nanoseconds after the origin.
    until: AtomicU64,
}

impl Lease {
    /// Creates a lease that has expired.
    pub fn new(origin: Instant) -> Self {
        Self { origin, until: AtomicU64::new(0) }
    }

    /// Extends the lease to this time.
    pub fn extend_to(&self, until: Instant) {
        self.set(u64::try_from((until - self.origin).as_nanos()).unwrap_or(u64::MAX));
    }

    /// Ends the lease now.
    pub fn end(&self) {
        self.set(0);
    }

    /// Makes the lease endless: the peer has agreed that this balancer finishes its open
    /// connections.
    pub fn forget(&self) {
        self.set(u64::MAX);
    }

    /// True if the lease has not expired at this time.
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
