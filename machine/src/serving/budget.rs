//! A memory budget for what many clients send or receive at the same time: a total, not a limit per
//! client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

/// Requests for at most this many bytes have a part of the budget to themselves, so that large bodies that
/// never end cannot block them.
const SMALL_BYTES_MAX: usize = 64 * 1024;

/// How long a share may be kept while others wait for it.
const GRACE: Duration = Duration::from_secs(1);

/// A number of bytes to share.
#[derive(Debug)]
pub struct Budget {
    small: Lane,
    large: Lane,
}

/// A part of a budget, or a number of other units to share. First come, first served.
#[derive(Debug, Clone)]
pub struct Lane(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    units: Arc<Semaphore>,
    units_max: usize,
    grace: Duration,
    waiting: AtomicUsize,
    wanted: Notify,
}

/// Units that were handed out; returned when this is dropped.
#[derive(Debug)]
pub struct Share {
    _permit: OwnedSemaphorePermit,
    lane: Lane,
}

impl Budget {
    /// Creates a budget of this many bytes, a third of them for small requests.
    pub fn new(bytes: usize) -> Self {
        Self { small: Lane::new(bytes / 3), large: Lane::new(bytes - bytes / 3) }
    }

    /// Waits for this many bytes.
    pub async fn take(&self, bytes: usize) -> Share {
        let lane = if bytes <= SMALL_BYTES_MAX { &self.small } else { &self.large };
        lane.take(bytes).await
    }
}

impl Lane {
    /// Creates a lane with this many units.
    pub fn new(units: usize) -> Self {
        Self::with_grace(units, GRACE)
    }

    fn with_grace(units: usize, grace: Duration) -> Self {
        let units_max = units.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let units = Arc::new(Semaphore::new(units_max));
        Self(Arc::new(Inner { units, units_max, grace, waiting: AtomicUsize::new(0), wanted: Notify::new() }))
    }

    /// Waits for this many units, or for all units if there are fewer.
    pub async fn take(&self, units: usize) -> Share {
        let units = units.min(self.0.units_max) as u32;
        let permit = match Arc::clone(&self.0.units).try_acquire_many_owned(units) {
            Ok(permit) => permit,
            Err(_) => self.wait(units).await,
        };
        Share { _permit: permit, lane: self.clone() }
    }

    async fn wait(&self, units: u32) -> OwnedSemaphorePermit {
        let _waiting = Waiting::begin(&self.0);
        let permit = Arc::clone(&self.0.units).acquire_many_owned(units).await;
        permit.expect("the semaphore is never closed")
    }
}

impl Share {
    /// Returns once the share has been kept for a while and others wait for units.
    pub async fn is_wanted_back(&self) {
        let lane = &self.lane.0;
        sleep(lane.grace).await;
        loop {
            let wanted = lane.wanted.notified();
            if lane.waiting.load(Ordering::Acquire) > 0 {
                return;
            }
            wanted.await;
        }
    }
}

/// Counts a waiting task until it is dropped.
struct Waiting<'a>(&'a Inner);

impl<'a> Waiting<'a> {
    fn begin(lane: &'a Inner) -> Self {
        lane.waiting.fetch_add(1, Ordering::AcqRel);
        lane.wanted.notify_waiters();
        Self(lane)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use tokio::time::{Instant, timeout};

    use super::*;

    const MIB: usize = 1 << 20;

    /// Far longer than anything here takes.
    const LIMIT: Duration = Duration::from_secs(20);

    fn is_ready(future: impl Future) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn large_ones_wait_for_each_other_and_small_ones_do_not_wait_for_them() {
        let budget = Budget::new(3 * MIB);
        let first = budget.take(MIB).await;
        let _second = budget.take(MIB).await;
        assert!(!is_ready(budget.take(MIB)));
        assert!(is_ready(budget.take(1_000)));
        drop(first);
        assert!(is_ready(budget.take(MIB)));
    }

    #[tokio::test]
    async fn a_share_is_wanted_back_only_when_somebody_waits_for_it() {
        let grace = Duration::from_millis(20);
        let lane = Lane::with_grace(1, grace);
        let share = lane.take(1).await;
        assert!(timeout(3 * grace, share.is_wanted_back()).await.is_err());
        let waiting = tokio::spawn({
            let lane = lane.clone();
            async move { lane.take(1).await }
        });
        let began = Instant::now();
        timeout(LIMIT, share.is_wanted_back()).await.expect("somebody waits");
        assert!(began.elapsed() >= grace, "everybody has a moment");
        drop(share);
        let _share = timeout(LIMIT, waiting).await.expect("it is free").unwrap();
    }
}
