//! The event log: state changes of upstreams and of this balancer. The latest events are kept for
//! clients that ask later, and each event is sent to the subscribers as it happens.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast;

/// Events that are kept; older ones are dropped.
const KEPT: usize = 1000;

/// A state change of an upstream, or of this balancer in its pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its sequence number; it grows with each event.
    pub seq: u64,
    /// When it happened, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The upstream's name, or this balancer's.
    pub name: String,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
    /// The reason, in words.
    pub reason: String,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The upstream was added.
    Added,
    /// The upstream came into rotation.
    Admitted,
    /// The upstream was taken out of rotation, because its checks or its requests failed.
    Ejected {
        /// The kind of check that ejected it: active or passive.
        by: EjectedBy,
        /// Failures in a row.
        failures: u32,
    },
    /// The upstream takes no new requests, and finishes those in flight.
    Draining,
    /// The upstream was removed.
    Removed,
    /// This balancer took over the shared address.
    TookOver,
    /// This balancer gave up the shared address.
    StoodDown,
    /// This balancer wants the shared address and cannot take it.
    TakeoverBlocked,
}

/// What ejected an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EjectedBy {
    /// Active health checks.
    Checks,
    /// Failed requests: a passive health check.
    #[serde(rename = "passive")]
    Requests,
}

impl EventKind {
    /// The event's name in the JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Admitted => "admitted",
            Self::Ejected { .. } => "ejected",
            Self::Draining => "draining",
            Self::Removed => "removed",
            Self::TookOver => "took_over",
            Self::StoodDown => "stood_down",
            Self::TakeoverBlocked => "takeover_blocked",
        }
    }
}

/// Keeps events, and sends them to subscribers.
#[derive(Debug)]
pub struct Events {
    kept: Mutex<VecDeque<Event>>,
    listeners: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        let (listeners, _) = broadcast::channel(KEPT);
        Self { kept: Mutex::default(), listeners }
    }
}

impl Events {
    /// Keeps an event, sends it to the subscribers, and logs it.
    pub fn record(&self, name: &str, kind: EventKind, reason: String) {
        let mut kept = self.kept.lock();
        let seq = kept.back().map_or(1, |last| last.seq + 1);
        let event = Event { seq, unix_ms: unix_ms(SystemTime::now()), name: name.to_owned(), kind, reason };
        match kind {
            EventKind::Ejected { .. } => tracing::warn!(upstream = name, reason = event.reason, "ejected"),
            EventKind::TakeoverBlocked => tracing::warn!(name, reason = event.reason, "cannot take over"),
            EventKind::TookOver | EventKind::StoodDown => {
                tracing::info!(name, reason = event.reason, "{}", kind.label());
            }
            _ => tracing::info!(upstream = name, reason = event.reason, "{}", kind.label()),
        }
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(event.clone());
        // There may be no subscribers.
        let _ = self.listeners.send(event);
    }

    /// Returns the kept events with a greater sequence number, the oldest first.
    pub fn after(&self, seq: u64) -> Vec<Event> {
        self.kept.lock().iter().filter(|event| event.seq > seq).cloned().collect()
    }

    /// Returns the same, and a receiver of all events that follow.
    pub fn follow(&self, seq: u64) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let kept = self.kept.lock();
        let past = kept.iter().filter(|event| event.seq > seq).cloned().collect();
        (past, self.listeners.subscribe())
    }
}

/// Milliseconds since 1970.
pub fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_are_kept_and_numbers_go_on() {
        let events = Events::default();
        for _ in 0..KEPT + 5 {
            events.record("web-1", EventKind::Draining, String::new());
        }
        let kept = events.after(0);
        assert_eq!((kept.len(), kept[0].seq, kept[KEPT - 1].seq), (KEPT, 6, KEPT as u64 + 5));
        assert!(events.after(KEPT as u64 + 5).is_empty());
    }

    #[test]
    fn an_event_says_what_happened_to_whom_and_why() {
        let events = Events::default();
        events.record("web-1", EventKind::Ejected { by: EjectedBy::Requests, failures: 3 }, "refused".into());
        let json = serde_json::to_value(&events.after(0)[0]).unwrap();
        assert_eq!((&json["event"], &json["name"]), (&"ejected".into(), &"web-1".into()));
        assert_eq!((&json["failures"], &json["by"]), (&3.into(), &"passive".into()));
        assert_eq!(json["seq"], 1);
    }
}
