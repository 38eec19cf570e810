//! Detects whether the computer's own disk was slow: another program was writing, or a virtual disk was
//! throttled. A database acknowledges only after a sync, so a lab with a database cannot be faster than the
//! disk.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use load::Moment;

/// Pause between two syncs.
const SYNC_EVERY: Duration = Duration::from_millis(100);
/// A sync that takes longer than this is slower than the lab expects of a disk.
const SLOW_MIN: Duration = Duration::from_millis(20);
/// A sync that takes longer than this may have made a database's clients time out, or its members elect
/// another primary.
const VERY_SLOW_MIN: Duration = Duration::from_millis(250);
/// Block written before each sync; a database's writes are not much longer.
const BLOCK: [u8; 4096] = [0; 4096];

/// Syncs a small file repeatedly for as long as it is held.
#[derive(Debug)]
pub(super) struct DiskWatch {
    seen: Arc<Mutex<Seen>>,
    origin: Instant,
    _stop: mpsc::Sender<()>,
}

/// What has been observed.
#[derive(Debug, Default)]
struct Seen {
    /// The slow syncs, each from its beginning to its end.
    slow: Vec<Range<Moment>>,
    /// When the sync in progress began.
    under_way: Option<Moment>,
}

impl DiskWatch {
    /// Begins to sync an unnamed file in this directory. All moments count from `origin`.
    pub(super) fn begin(origin: Instant, directory: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(directory)?;
        file.write_all_at(&BLOCK, 0)?;
        file.sync_all()?;
        let seen = Arc::new(Mutex::default());
        let (stop, stopped) = mpsc::channel();
        let found = Arc::clone(&seen);
        let watching = move || sync_again_and_again(&file, origin, &stopped, &found);
        thread::Builder::new().name("disk-watch".into()).spawn(watching)?;
        Ok(Self { seen, origin, _stop: stop })
    }

    /// Returns the slow syncs so far, including one still in progress.
    pub(super) fn slow_syncs(&self) -> Vec<Range<Moment>> {
        let seen = self.seen.lock();
        let under_way = seen.under_way.map(|began| began..self.origin.elapsed());
        seen.slow.iter().cloned().chain(under_way.filter(is_slow)).collect()
    }
}

/// Returns the longest sync that was in progress between two moments.
pub(super) fn longest(syncs: &[Range<Moment>], from: Moment, to: Moment) -> Option<&Range<Moment>> {
    let during = syncs.iter().filter(|sync| sync.start <= to && sync.end >= from);
    during.max_by_key(|sync| sync.end - sync.start)
}

/// Describes a slow sync.
pub(super) fn told(sync: &Range<Moment>) -> String {
    format!(
        "the computer's disk took {:.1?} for one sync at {:.1} s",
        sync.end - sync.start,
        sync.start.as_secs_f64()
    )
}

/// Returns whether a sync was slow enough to affect more than latencies.
pub(super) fn is_very_slow(sync: &Range<Moment>) -> bool {
    sync.end.saturating_sub(sync.start) > VERY_SLOW_MIN
}

fn is_slow(sync: &Range<Moment>) -> bool {
    sync.end.saturating_sub(sync.start) > SLOW_MIN
}

fn sync_again_and_again(file: &File, origin: Instant, stopped: &mpsc::Receiver<()>, seen: &Mutex<Seen>) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(SYNC_EVERY) {
        let began = origin.elapsed();
        seen.lock().under_way = Some(began);
        // A full disk is reported by the program that needs it.
        let _ = file.write_all_at(&BLOCK, 0).and_then(|()| file.sync_data());
        let sync = began..origin.elapsed();
        let mut seen = seen.lock();
        seen.under_way = None;
        if is_slow(&sync) {
            seen.slow.push(sync);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Moment {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_longest_sync_that_was_under_way_counts() {
        let syncs = [ms(100)..ms(400), ms(500)..ms(550), ms(900)..ms(1_000)];
        assert_eq!(longest(&syncs, ms(450), ms(950)), Some(&syncs[2]));
        assert_eq!(longest(&syncs, ms(400), ms(600)), Some(&syncs[0]));
        assert_eq!(longest(&syncs, ms(600), ms(800)), None);
        assert_eq!(told(&syncs[0]), "the computer's disk took 300.0ms for one sync at 0.1 s");
    }

    #[test]
    fn only_a_slow_sync_is_told_of_also_while_it_lasts() {
        let directory = tempfile::tempdir().unwrap();
        let origin = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let watch = DiskWatch::begin(origin, directory.path()).unwrap();
        watch.seen.lock().under_way = Some(ms(1_000));
        let lasts = watch.slow_syncs().iter().any(|sync| sync.start == ms(1_000) && sync.end > ms(9_000));
        assert!(lasts, "one that hangs is seen before it ends");
        assert!(watch.slow_syncs().iter().all(is_slow));
    }
}
