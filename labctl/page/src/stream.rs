//! The stream of server-sent events.
//!
//! It begins with `hello`, then carries every `event` after `Last-Event-ID`, and the whole `state` up to five times a
//! second. A browser that falls behind misses states but never events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream;
use http::HeaderMap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::desk::{Desk, Watching};

/// The state of one browser's stream: its sources, and how far it has read.
struct Telling {
    desk: Arc<Desk>,
    _watching: Watching,
    states: watch::Receiver<Arc<str>>,
    happened: watch::Receiver<usize>,
    /// The number of events of the run, and how many of them were sent.
    run: Option<(watch::Receiver<usize>, usize)>,
    stop: CancellationToken,
    greeted: bool,
    heard: usize,
    waiting: std::collections::VecDeque<Event>,
}

/// Streams to one browser until it disconnects or the lab ends.
pub(crate) fn stream(
    desk: &Arc<Desk>,
    headers: &HeaderMap,
    stop: CancellationToken,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    let telling = Telling {
        _watching: desk.watch(),
        states: desk.states(),
        happened: desk.lab.events.watch(),
        run: desk.run.as_ref().map(|run| (run.watch(), 0)),
        heard: last_heard(headers, &desk.id),
        desk: Arc::clone(desk),
        stop,
        greeted: false,
        waiting: std::collections::VecDeque::new(),
    };
    let events = stream::unfold(telling, async |mut telling| {
        let event = telling.next().await?;
        Some((Ok(event), telling))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(5)))
}

impl Telling {
    async fn next(&mut self) -> Option<Event> {
        if !self.greeted {
            self.greeted = true;
            let hello = self.desk.hello().to_string();
            return Some(Event::default().event("hello").retry(Duration::from_millis(300)).data(hello));
        }
        loop {
            self.take_in_events();
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            let Self { run, happened, states, stop, .. } = self;
            let told = async {
                match run {
                    Some((run, _)) => run.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    // Events that are still queued when the lab ends are sent as well.
                    self.take_in_events();
                    return self.waiting.pop_front();
                }
                changed = happened.changed() => changed.ok()?,
                true = told => {}
                changed = states.changed() => {
                    changed.ok()?;
                    let state = states.borrow_and_update().to_string();
                    return Some(Event::default().event("state").data(state));
                }
            }
        }
    }

    fn take_in_events(&mut self) {
        for event in self.desk.lab.events.since(self.heard) {
            self.heard += 1;
            let id = format!("{}-{}", self.desk.id, self.heard);
            let told = self.desk.told(self.heard, &event);
            self.waiting.push_back(Event::default().event("event").id(id).data(told));
        }
        let log = self.desk.run.as_ref();
        if let Some(((_, told), log)) = self.run.as_mut().zip(log) {
            for event in log.since(*told) {
                *told += 1;
                self.waiting.push_back(Event::default().event("run").data(event));
            }
        }
    }
}

/// Returns how many events of this lab a browser has seen; an ID from another lab counts as zero.
fn last_heard(headers: &HeaderMap, lab: &str) -> usize {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let number = last.and_then(|last| last.strip_prefix(lab)?.strip_prefix('-')?.parse().ok());
    number.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_of_another_lab_has_heard_nothing_of_ours() {
        let headers =
            |id: &str| HeaderMap::from_iter([("last-event-id".parse().unwrap(), id.parse().unwrap())]);
        assert_eq!(last_heard(&headers("a1b2-17"), "a1b2"), 17);
        assert_eq!(last_heard(&headers("ffff-17"), "a1b2"), 0);
        assert_eq!(last_heard(&headers("17"), "a1b2"), 0);
        assert_eq!(last_heard(&HeaderMap::new(), "a1b2"), 0);
    }
}
