use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Far longer than anything here takes, on the slowest of machines.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Polls until the condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds().await {
        assert!(Instant::now() < end, "waited {LIMIT:?} in vain: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}
