//! Waits for conditions with a time limit, never for a fixed duration.

use std::thread;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until `look` finds something, and returns it with the time it took. Panics at the limit.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> (T, Duration) {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return (found, begun.elapsed());
        }
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        thread::sleep(LOOK_EVERY);
    }
}

/// Waits until a condition is true.
pub fn until_true(what: &str, limit: Duration, mut look: impl FnMut() -> bool) -> Duration {
    until(what, limit, || look().then_some(())).1
}
