//! The in-memory record of a run, shared by its writers and its readers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use thiserror::Error;

use super::csv;
use super::request_log::{RequestLog, StreamRecord, Ticket};
use super::sample::Completion;
use super::{LiveFigures, Moment, Rate, StreamId, Window};

/// The shared record of a run. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    origin: Instant,
    /// Nanoseconds since the origin: all arrivals meant for an earlier moment have been entered.
    entered_until: AtomicU64,
    book: Mutex<RequestLog>,
}

/// Some requests had no outcome in time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{unfinished} requests had no outcome within {limit:?}")]
pub struct Unsettled {
    /// Requests that are still in flight.
    pub unfinished: usize,
    /// How long the caller waited for them.
    pub limit: Duration,
}

impl Recorder {
    pub(super) fn new(origin: Instant) -> Self {
        let (entered_until, book) = (AtomicU64::new(u64::MAX), Mutex::default());
        Self(Arc::new(Shared { origin, entered_until, book }))
    }

    /// The time since the origin.
    pub fn now(&self) -> Moment {
        self.0.origin.elapsed()
    }

    /// All streams, with their names, in the order they were added.
    pub fn streams(&self) -> Vec<(StreamId, String)> {
        let book = self.0.book.lock();
        book.streams().map(|(id, stream)| (id, stream.name.to_string())).collect()
    }

    /// The requests of a stream that were meant to be sent in `[from, to)`.
    pub fn window(&self, stream: StreamId, from: Moment, to: Moment) -> Window {
        // Only the copy is made under the lock; sorting takes longer and would hold up the next arrival.
        let (samples, unfinished) = {
            let book = self.0.book.lock();
            let entries = book.stream(stream).between(from, to);
            let unfinished = entries.clone().filter(|entry| entry.is_unfinished()).count();
            (entries.filter_map(|entry| entry.sample(stream)).collect(), unfinished)
        };
        Window::new(from, to, samples, unfinished)
    }

    /// Like [`Self::window`], but only up to the first request without an outcome. Later requests may have
    /// been answered before it, and would give a picture without it.
    pub fn known_window(&self, stream: StreamId, from: Moment, to: Moment) -> Window {
        let known_until = self.0.book.lock().stream(stream).known_until(from, to);
        self.window(stream, from, known_until)
    }

    /// Waits until every request meant for a moment before `to` has an outcome, until `limit` after `to`.
    pub async fn settled(&self, to: Moment, limit: Duration) -> Result<(), Unsettled> {
        let deadline = to.saturating_add(limit);
        loop {
            let now = self.now();
            // Read first, so that whatever is entered later is counted as unfinished.
            let entered = self.0.entered_until.load(Ordering::Acquire) >= nanoseconds(to);
            let unfinished = self.0.book.lock().unfinished_before(to);
            if now >= to && entered && unfinished == 0 {
                return Ok(());
            }
            if now >= deadline {
                return Err(Unsettled { unfinished, limit });
            }
            let pause = to.saturating_sub(now).max(Duration::from_millis(10));
            tokio::time::sleep(pause.min(deadline.saturating_sub(now))).await;
        }
    }

    /// The number of a stream's requests that were sent and have no outcome yet.
    pub fn in_flight(&self, stream: StreamId) -> usize {
        self.0.book.lock().stream(stream).in_flight
    }

    /// The figures of the last second.
    pub fn live(&self, stream: StreamId) -> LiveFigures {
        let book = self.0.book.lock();
        let (now, record) = (self.now(), book.stream(stream));
        // No request that ended in the last second was sent before this; one second is for lag.
        let first = now.saturating_sub(record.timeout + LiveFigures::SPAN * 2);
        let samples = record.between(first, Moment::MAX).filter_map(|entry| entry.sample(stream));
        LiveFigures::of(now, record.rate, record.in_flight, samples)
    }

    /// Writes the requests of all streams as CSV, one line per request in order of intended moment, including
    /// those without an outcome.
    pub fn write_csv(&self, out: impl io::Write) -> io::Result<()> {
        let lines = self.0.book.lock().streams().flat_map(|(id, record)| lines(id, record)).collect();
        csv::write(lines, out)
    }

    /// Frees the memory of requests meant for a moment before `before`, for a stream that runs for hours.
    pub fn forget(&self, before: Moment) {
        self.0.book.lock().forget(before);
    }

    pub(super) fn add(&self, name: &str, in_flight_max: usize, timeout: Duration) -> StreamId {
        self.0.book.lock().add(name, in_flight_max, timeout)
    }

    pub(super) fn rate_set(&self, stream: StreamId, now: Moment, rate: Rate) {
        self.0.book.lock().stream_mut(stream).rate = (now, rate);
    }

    /// Enters an arrival that is due. `None` if the limit of requests in flight is reached; it is then
    /// cancelled.
    pub(super) fn begin(&self, stream: StreamId, intended: Moment) -> Option<Ticket> {
        let now = self.now();
        self.0.book.lock().begin(stream, intended, now)
    }

    pub(super) fn finish(&self, ticket: Ticket, end: Completion) {
        self.0.book.lock().finish(ticket, end);
    }

    /// Declares that all arrivals meant for a moment before this one have been entered.
    pub(super) fn entered_until(&self, moment: Moment) {
        self.0.entered_until.store(nanoseconds(moment), Ordering::Release);
    }

    /// The shared copy of a server's name, one for all samples.
    pub(super) fn server(&self, name: &str) -> Option<Arc<str>> {
        self.0.book.lock().server(name)
    }
}

fn lines(id: StreamId, record: &StreamRecord) -> impl Iterator<Item = csv::Line> {
    record.between(Moment::ZERO, Moment::MAX).map(move |entry| csv::Line {
        intended: entry.intended,
        stream: Arc::clone(&record.name),
        sample: entry.sample(id),
    })
}

fn nanoseconds(moment: Moment) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}
