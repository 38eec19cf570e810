//! The request log behind the recorder: per stream one entry per request, sorted by intended moment, so that
//! a span of time is found by bisection.
#![deny(clippy::disallowed_methods)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::sample::Completion;
use super::{Moment, Rate, Sample, StreamId};

/// All streams, and the names of the servers that answered.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    streams: Vec<StreamRecord>,
    servers: Vec<Arc<str>>,
}

/// One stream, and its requests.
#[derive(Debug)]
pub(super) struct StreamRecord {
    pub(super) name: Arc<str>,
    /// The longest that one of its requests lasts.
    pub(super) timeout: Duration,
    /// Its rate, and the moment it was set.
    pub(super) rate: (Moment, Rate),
    pub(super) in_flight: usize,
    in_flight_max: usize,
    entries: VecDeque<Entry>,
    /// The number of entries that were dropped from the front.
    forgotten: u64,
}

/// One request: entered when it is sent and completed when its outcome is known, so that one that never ends
/// is visible as well.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) intended: Moment,
    end: Option<Completion>,
}

/// A handle to one request in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub(super) stream: StreamId,
    pub(super) intended: Moment,
    number: u64,
}

impl RequestLog {
    /// The most server names that are kept; answers of further servers count as unnamed.
    const SERVERS_MAX: usize = 1_000;

    pub(super) fn add(&mut self, name: &str, in_flight_max: usize, timeout: Duration) -> StreamId {
        let id = u32::try_from(self.streams.len()).expect("so many streams do not fit into memory");
        self.streams.push(StreamRecord {
            name: name.into(),
            timeout,
            rate: (Moment::ZERO, Rate::STOPPED),
            in_flight: 0,
            in_flight_max,
            entries: VecDeque::new(),
            forgotten: 0,
        });
        StreamId(id)
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = (StreamId, &StreamRecord)> {
        (0..).map(StreamId).zip(&self.streams)
    }

    pub(super) fn stream(&self, id: StreamId) -> &StreamRecord {
        &self.streams[id.0 as usize]
    }

    pub(super) fn stream_mut(&mut self, id: StreamId) -> &mut StreamRecord {
        &mut self.streams[id.0 as usize]
    }

    /// Enters a request that is due at `now`. `None` if the limit of requests in flight is reached; it is
    /// then entered as cancelled.
    pub(super) fn begin(&mut self, stream: StreamId, intended: Moment, now: Moment) -> Option<Ticket> {
        let record = self.stream_mut(stream);
        let room = record.in_flight < record.in_flight_max;
        let end = (!room).then(|| Completion::cancelled(now.saturating_sub(intended)));
        record.entries.push_back(Entry { intended, end });
        record.in_flight += usize::from(room);
        let number = record.forgotten + record.entries.len() as u64 - 1;
        room.then_some(Ticket { stream, intended, number })
    }

    pub(super) fn finish(&mut self, ticket: Ticket, end: Completion) {
        let record = self.stream_mut(ticket.stream);
        let Some(index) = ticket.number.checked_sub(record.forgotten) else { return };
        record.entries[index as usize].end = Some(end);
        record.in_flight -= 1;
    }

    /// Drops all requests meant for a moment before this one, finished or not.
    pub(super) fn forget(&mut self, before: Moment) {
        for record in &mut self.streams {
            let old = record.entries.partition_point(|entry| entry.intended < before);
            let unfinished = record.entries.drain(..old).filter(Entry::is_unfinished).count();
            record.in_flight -= unfinished;
            record.forgotten += old as u64;
        }
    }

    pub(super) fn unfinished_before(&self, to: Moment) -> usize {
        let open = self.streams.iter().filter(|record| record.in_flight > 0);
        open.map(|record| record.between(Moment::ZERO, to).filter(|entry| entry.is_unfinished()).count())
            .sum()
    }

    /// The shared copy of a server's name, one for all samples.
    pub(super) fn server(&mut self, name: &str) -> Option<Arc<str>> {
        if let Some(known) = self.servers.iter().find(|known| known.as_ref() == name) {
            return Some(Arc::clone(known));
        }
        if self.servers.len() == Self::SERVERS_MAX {
            return None;
        }
        self.servers.push(Arc::from(name));
        self.servers.last().cloned()
    }
}

impl StreamRecord {
    /// The requests meant for `[from, to)`.
    pub(super) fn between(&self, from: Moment, to: Moment) -> impl Iterator<Item = &Entry> + Clone {
        let first = self.entries.partition_point(|entry| entry.intended < from);
        let end = self.entries.partition_point(|entry| entry.intended < to);
        self.entries.range(first..end.max(first))
    }

    /// The intended moment of the first of those requests that has no outcome; `to` if all have one.
    pub(super) fn known_until(&self, from: Moment, to: Moment) -> Moment {
        self.between(from, to).find(|entry| entry.is_unfinished()).map_or(to, |entry| entry.intended)
    }
}

impl Entry {
    pub(super) fn is_unfinished(&self) -> bool {
        self.end.is_none()
    }

    pub(super) fn sample(&self, stream: StreamId) -> Option<Sample> {
        Some(self.end.clone()?.sample(stream, self.intended))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CacheMark, Outcome};
    use super::*;

    fn ms(ms: u64) -> Moment {
        Duration::from_millis(ms)
    }

    fn ok() -> Completion {
        let (latency, cache) = (ms(3), CacheMark::None);
        Completion {
            lag: ms(0),
            latency,
            outcome: Outcome::Ok,
            status: 200,
            served_by: None,
            cache,
            attempts: 1,
        }
    }

    fn book(in_flight_max: usize) -> (RequestLog, StreamId) {
        let mut book = RequestLog::default();
        let id = book.add("shop", in_flight_max, ms(5_000));
        (book, id)
    }

    #[test]
    fn a_span_holds_its_first_moment_and_not_its_last() {
        let (mut book, id) = book(10);
        for at in [10, 20, 20, 30] {
            book.begin(id, ms(at), ms(at)).unwrap();
        }
        let count = |from, to| book.stream(id).between(ms(from), ms(to)).count();
        assert_eq!((count(10, 30), count(0, 10), count(20, 21), count(30, 10)), (3, 0, 2, 0));
    }

    #[test]
    fn what_came_after_a_request_that_hangs_is_not_known_yet() {
        let (mut book, id) = book(10);
        let tickets = [10, 20, 30].map(|at| book.begin(id, ms(at), ms(at)).unwrap());
        let known = |book: &RequestLog, from| book.stream(id).known_until(ms(from), ms(40));
        book.finish(tickets[0], ok());
        book.finish(tickets[2], ok());
        assert_eq!((known(&book, 0), known(&book, 25)), (ms(20), ms(40)));
        book.finish(tickets[1], ok());
        assert_eq!(known(&book, 0), ms(40));
    }

    #[test]
    fn a_request_is_unfinished_until_it_is_finished() {
        let (mut book, id) = book(10);
        let tickets = [10, 20].map(|at| book.begin(id, ms(at), ms(at)).unwrap());
        book.finish(tickets[1], ok());
        assert_eq!((book.unfinished_before(ms(10)), book.unfinished_before(ms(30))), (0, 1));
        book.finish(tickets[0], ok());
        assert_eq!((book.unfinished_before(ms(30)), book.stream(id).in_flight), (0, 0));
    }

    #[test]
    fn room_is_made_by_finishing() {
        let (mut book, id) = book(1);
        let first = book.begin(id, ms(10), ms(10)).unwrap();
        assert!(book.begin(id, ms(20), ms(25)).is_none());
        book.finish(first, ok());
        assert!(book.begin(id, ms(30), ms(30)).is_some());
        let cancelled = book.stream(id).between(ms(20), ms(30)).next().unwrap().sample(id).unwrap();
        assert_eq!((cancelled.outcome, cancelled.lag), (Outcome::Cancelled, ms(5)));
    }

    #[test]
    fn a_forgotten_request_may_still_finish() {
        let (mut book, id) = book(10);
        let tickets = [10, 20].map(|at| book.begin(id, ms(at), ms(at)).unwrap());
        book.forget(ms(15));
        book.finish(tickets[0], ok());
        assert_eq!(book.stream(id).in_flight, 1);
        book.finish(tickets[1], ok());
        assert_eq!(book.stream(id).between(ms(0), ms(99)).filter_map(|entry| entry.sample(id)).count(), 1);
    }

    #[test]
    fn names_from_outside_take_a_bounded_amount_of_memory() {
        let (mut book, _) = book(1);
        let first = book.server("web-0").unwrap();
        (1..5_000).for_each(|n| drop(book.server(&format!("web-{n}"))));
        assert_eq!(book.servers.len(), RequestLog::SERVERS_MAX);
        assert!(Arc::ptr_eq(&first, &book.server("web-0").unwrap()));
    }
}
