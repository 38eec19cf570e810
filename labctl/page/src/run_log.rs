//! The event log of a chapter's run: steps, claims, attempts. A viewer that arrives later gets all of it from the
//! beginning.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

use crate::snapshot::RunNow;

/// The largest number of events kept: a chapter has a few hundred.
const KEPT: usize = 5_000;

/// The events of a run, in order. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RunLog(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    events: Mutex<Vec<Value>>,
    now: Mutex<Option<RunNow>>,
    count: watch::Sender<usize>,
}

impl RunLog {
    /// Appends an event: a document with `at`, `event` and `about`.
    pub fn tell(&self, event: Value) {
        let mut events = self.0.events.lock();
        if events.len() < KEPT {
            events.push(event);
            self.0.count.send_replace(events.len());
        }
    }

    /// Sets the current activity, and the seconds it may still take. Only the newest is kept.
    pub fn doing(&self, what: &str, left_s: f64) {
        *self.0.now.lock() = Some(RunNow { doing: what.to_owned(), left_s });
    }

    /// Clears the log for a new run.
    pub fn begin(&self) {
        self.0.events.lock().clear();
        *self.0.now.lock() = None;
        self.0.count.send_replace(0);
    }

    /// Returns the current activity.
    pub(crate) fn now(&self) -> Option<RunNow> {
        self.0.now.lock().clone()
    }

    /// Returns the events from this index on, each with its index, as JSON.
    pub(crate) fn since(&self, first: usize) -> Vec<String> {
        let events = self.0.events.lock();
        let numbered = events.iter().enumerate().skip(first).map(|(number, event)| {
            serde_json::json!({ "n": number + 1, "at": event["at"], "event": event["event"], "about": event["about"] })
        });
        numbered.map(|event| event.to_string()).collect()
    }

    /// Subscribes to the number of events.
    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.0.count.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whoever_looks_later_is_told_everything_once() {
        let log = RunLog::default();
        log.tell(json!({ "at": 0.5, "event": "step", "about": { "number": 1 } }));
        log.tell(json!({ "at": 1.5, "event": "claim", "about": {} }));
        assert_eq!(log.since(0).len(), 2);
        let second: Value = serde_json::from_str(&log.since(1)[0]).unwrap();
        assert_eq!((&second["n"], &second["event"]), (&json!(2), &json!("claim")));
        log.doing("measuring", 2.0);
        assert_eq!(log.now().unwrap().doing, "measuring");
        log.begin();
        assert!(log.since(0).is_empty() && log.now().is_none());
    }
}
