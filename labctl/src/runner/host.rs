//! Detects whether the computer itself stood still: a suspended lab, a paused virtual machine, a closed
//! laptop. Measurements taken then say more about the host than about the lab.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use load::Moment;

/// Polling interval.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A poll later than this was held up by a pause rather than by a busy computer.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// How late a thread wakes up on an otherwise idle computer.
const WAKES_LATE: Duration = Duration::from_micros(200);

/// Threads that wake up this late on average have a busy computer.
const BUSY: Duration = Duration::from_micros(500);

/// Detects pauses for as long as it is held.
#[derive(Debug)]
pub(crate) struct HostWatch {
    looks: Arc<Mutex<Looks>>,
    _stop: mpsc::Sender<()>,
}

/// What has been observed.
#[derive(Debug, Default)]
struct Looks {
    pauses: Vec<Range<Moment>>,
    /// When each poll happened, and how late it was.
    late: Vec<(Moment, Duration)>,
}

impl HostWatch {
    /// Begins to poll. All moments count from `origin`.
    pub(crate) fn begin(origin: Instant) -> io::Result<Self> {
        let looks = Arc::new(Mutex::default());
        let (stop, stopped) = mpsc::channel();
        let found = Arc::clone(&looks);
        thread::Builder::new().name("host-watch".into()).spawn(move || look(origin, &stopped, &found))?;
        Ok(Self { looks, _stop: stop })
    }

    /// Returns the pauses so far.
    pub(super) fn pauses(&self) -> Vec<Range<Moment>> {
        self.looks.lock().pauses.clone()
    }

    /// Returns the average delay with which a thread woke up between two moments, beyond that of an idle
    /// computer.
    pub(super) fn wakes_late(&self, from: Moment, to: Moment) -> Duration {
        let late = self.late_between(from, to);
        let count = u32::try_from(late.len()).unwrap_or(u32::MAX).max(1);
        (late.into_iter().sum::<Duration>() / count).saturating_sub(WAKES_LATE)
    }

    /// Returns the reason to doubt a measurement between two moments, if the computer was busy then.
    pub(crate) fn busy(&self, from: Moment, to: Moment) -> Option<String> {
        let late = self.wakes_late(from, to);
        (late > BUSY).then(|| format!("threads woke up {late:.1?} late"))
    }

    /// Returns the maximum delay, beyond that of an idle computer.
    pub(super) fn wakes_latest(&self, from: Moment, to: Moment) -> Duration {
        self.late_between(from, to).into_iter().max().unwrap_or_default().saturating_sub(WAKES_LATE)
    }

    fn late_between(&self, from: Moment, to: Moment) -> Vec<Duration> {
        let looks = self.looks.lock();
        let first = looks.late.partition_point(|(at, _)| *at < from);
        looks.late[first..].iter().take_while(|(at, _)| *at <= to).map(|(_, late)| *late).collect()
    }
}

fn look(origin: Instant, stopped: &mpsc::Receiver<()>, looks: &Mutex<Looks>) {
    let mut last = (Instant::now(), SystemTime::now());
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK_EVERY) {
        let now = (Instant::now(), SystemTime::now());
        // The monotonic clock stops while a computer sleeps. The wall clock reveals the gap, and events that
        // others stamped with it are off by as much.
        let measured = now.0 - last.0;
        let told = now.1.duration_since(last.1).unwrap_or_else(|error| error.duration());
        let late = measured.saturating_sub(LOOK_EVERY);
        let paused = late.max(told.abs_diff(measured));
        let (at, mut looks) = (now.0.saturating_duration_since(origin), looks.lock());
        looks.late.push((at, late));
        if paused > PAUSE_MIN {
            looks.pauses.push(at.saturating_sub(paused)..at);
        }
        last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_computer_that_goes_on_is_not_said_to_have_paused_for_long() {
        let watch = HostWatch::begin(Instant::now()).unwrap();
        thread::sleep(LOOK_EVERY * 10);
        let paused = watch.pauses().into_iter().map(|pause| pause.end - pause.start).max();
        assert!(paused.is_none_or(|paused| paused < Duration::from_secs(5)), "{paused:?}");
        assert_eq!(watch.wakes_late(Duration::from_secs(60), Duration::from_secs(70)), Duration::ZERO);
    }

    #[test]
    fn the_latest_wake_up_says_more_than_their_mean() {
        let (ms, looks) = (Duration::from_millis, Arc::<Mutex<Looks>>::default());
        looks.lock().late = vec![(ms(20), ms(90)), (ms(40), ms(1)), (ms(60), ms(31)), (ms(80), ms(1))];
        let watch = HostWatch { looks, _stop: mpsc::channel().0 };
        assert_eq!(watch.wakes_latest(ms(30), ms(100)), ms(31) - WAKES_LATE);
        assert_eq!(watch.wakes_late(ms(30), ms(100)), ms(11) - WAKES_LATE);
    }
}
