//! Detects a computer that is too busy for a verdict: by how late a thread wakes up from sleeps of a few milliseconds,
//! and by the share of time that the part waited for a core (`/proc/PID/task/*/schedstat`).

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The interval between wake-ups.
const EVERY: Duration = Duration::from_millis(5);
/// After a wake-up later than this, a failure is not conclusive.
const TOO_LATE: Duration = Duration::from_millis(150);
/// The share of time waiting for a core above which a part was not given a fair chance.
const TOO_MUCH: f64 = 0.25;

/// The wake-ups that were far too late: when, and by how much.
type Late = Arc<Mutex<Vec<(Instant, Duration)>>>;

/// Watches the computer until it is dropped.
#[derive(Debug)]
pub struct Watch {
    late: Late,
}

impl Watch {
    /// Starts watching, on its own thread.
    pub fn begin() -> Self {
        let late = Late::default();
        let watched = Arc::downgrade(&late);
        std::thread::spawn(move || watch(&watched));
        Self { late }
    }

    /// Returns why a failure since a moment is not conclusive, if the computer was too busy. `waited` is how long the
    /// part has waited for a core since then.
    pub fn too_busy(&self, since: Instant, waited: Duration) -> Option<String> {
        let late = self.late.lock();
        let latest = late.iter().filter(|(at, _)| *at >= since).map(|(_, late)| *late).max();
        why(latest.unwrap_or_default(), waited.as_secs_f64() / since.elapsed().as_secs_f64())
    }
}

fn why(late: Duration, share: f64) -> Option<String> {
    if late > TOO_LATE {
        return Some(format!("the computer was too busy: a thread woke up {late:.0?} late"));
    }
    let percent = 100.0 * share;
    (share > TOO_MUCH).then(|| {
        format!("the computer was too busy: your program waited for a core for {percent:.0} % of the time")
    })
}

fn watch(watched: &Weak<Mutex<Vec<(Instant, Duration)>>>) {
    loop {
        let wanted = Instant::now() + EVERY;
        std::thread::sleep(EVERY);
        let late = wanted.elapsed();
        let Some(watched) = watched.upgrade() else { return };
        if late > TOO_LATE {
            watched.lock().push((wanted, late));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_computer_is_too_busy_when_threads_wake_up_late_or_wait() {
        assert!(why(Duration::from_millis(500), 0.0).unwrap().contains("500ms late"));
        assert!(why(Duration::ZERO, 0.9).unwrap().contains("waited for a core for 90 %"));
        assert_eq!(why(Duration::from_millis(20), 0.2), None);
    }

    #[test]
    fn what_was_late_before_is_past() {
        let watch = Watch { late: Late::default() };
        let before = Instant::now() - Duration::from_secs(1);
        watch.late.lock().push((before, Duration::from_secs(1)));
        assert!(watch.too_busy(Instant::now(), Duration::ZERO).is_none());
        assert!(watch.too_busy(before, Duration::ZERO).is_some());
    }
}
