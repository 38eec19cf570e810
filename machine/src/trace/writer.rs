//! Writes spans to a file on a separate thread, so that a slow disk delays no request.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Spans that may wait to be written; further ones are dropped and counted.
const QUEUE: usize = 8_192;

/// The writer of a process's spans.
#[derive(Debug)]
pub(super) struct Writer {
    program: String,
    queue: SyncSender<Vec<u8>>,
    lost: AtomicU64,
    /// The same moment on the monotonic and on the system clock.
    origin: (Instant, Duration),
    /// The seed of the ids; it differs between processes.
    seed: u64,
    drawn: AtomicU64,
}

impl Writer {
    /// Creates the file, and starts the thread.
    pub(super) fn open(path: &Path, program: &str) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let (queue, spans) = sync_channel(QUEUE);
        thread::Builder::new().name("spans".into()).spawn(move || write_all(&spans, file))?;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = mix(u64::from(std::process::id()) ^ since_1970.as_nanos() as u64);
        Ok(Self {
            program: program.to_owned(),
            queue,
            lost: AtomicU64::new(0),
            origin: (Instant::now(), since_1970),
            seed,
            drawn: AtomicU64::new(0),
        })
    }

    /// The program's name.
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// Converts a time to the time since 1970. Monotonic, even if the system clock is set.
    pub(super) fn since_1970(&self, moment: Instant) -> Duration {
        let (instant, since_1970) = self.origin;
        match moment.checked_duration_since(instant) {
            Some(after) => since_1970 + after,
            None => since_1970.saturating_sub(instant - moment),
        }
    }

    /// Returns a new span id.
    pub(super) fn new_span(&self) -> u64 {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        mix(self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))).max(1)
    }

    /// Returns a new trace id.
    pub(super) fn new_trace(&self) -> u128 {
        u128::from(self.new_span()) << 64 | u128::from(self.new_span())
    }

    /// Queues a line, or drops it.
    pub(super) fn write(&self, line: Vec<u8>) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(line)
            && self.lost.fetch_add(1, Ordering::Relaxed) == 0
        {
            tracing::warn!("spans are lost: they come faster than they can be written");
        }
    }
}

/// Spreads bits evenly (splitmix64).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// Writes until all senders are gone. Flushes whenever the queue is empty.
fn write_all(spans: &Receiver<Vec<u8>>, file: File) {
    let mut out = BufWriter::new(file);
    let write = |out: &mut BufWriter<File>| -> io::Result<()> {
        while let Ok(span) = spans.recv() {
            out.write_all(&span)?;
            for span in spans.try_iter() {
                out.write_all(&span)?;
            }
            out.flush()?;
        }
        Ok(())
    };
    if let Err(error) = write(&mut out) {
        tracing::warn!(%error, "spans are not recorded any more");
    }
}
