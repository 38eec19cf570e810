//! Whether the computer itself stood still: a lab that is stopped and goes on, a virtual machine that was
//! paused, a laptop that was closed. Everything that is measured then says more about that.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use load::Moment;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A look that comes later than this was held up by a pause rather than by a busy computer.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// Looks for pauses for as long as it is held.
#[derive(Debug)]
pub(super) struct HostWatch {
    pauses: Arc<Mutex<Vec<Range<Moment>>>>,
    _stop: mpsc::Sender<()>,
}

impl HostWatch {
    /// Begins to look. All moments count from `origin`.
    pub(super) fn begin(origin: Instant) -> io::Result<Self> {
        let pauses = Arc::new(Mutex::default());
        let (stop, stopped) = mpsc::channel();
        let found = Arc::clone(&pauses);
        thread::Builder::new().name("host-watch".into()).spawn(move || look(origin, &stopped, &found))?;
        Ok(Self { pauses, _stop: stop })
    }

    /// The pauses so far.
    pub(super) fn pauses(&self) -> Vec<Range<Moment>> {
        self.pauses.lock().clone()
    }
}

fn look(origin: Instant, stopped: &mpsc::Receiver<()>, pauses: &Mutex<Vec<Range<Moment>>>) {
    let mut last = (Instant::now(), SystemTime::now());
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK_EVERY) {
        let now = (Instant::now(), SystemTime::now());
        // The clock that measures stands still while a computer sleeps; the other one shows it, and events
        // that others have stamped by it are as much off.
        let measured = now.0 - last.0;
        let told = now.1.duration_since(last.1).unwrap_or_else(|error| error.duration());
        let paused = measured.saturating_sub(LOOK_EVERY).max(told.abs_diff(measured));
        if paused > PAUSE_MIN {
            let end = now.0.saturating_duration_since(origin);
            pauses.lock().push(end.saturating_sub(paused)..end);
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
    }
}
