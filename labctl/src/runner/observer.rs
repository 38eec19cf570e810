//! The events of a run, an audit or a table measurement, and the observers that receive them. Measuring code
//! never prints: a terminal, a progress bar, a JUnit file and a page are all observers.

use std::time::{Duration, Instant};

use history::lost::Lost;
use serde::{Serialize, Serializer};

use super::{ClaimResult, FilledTable, RunDocument};
use lab::Event;
use load::{LiveFigures, Tried};

/// Receives each event as soon as it happens. Must not block: it is called by the code that measures.
pub trait Observer: Sync {
    /// Handles one event.
    fn on(&self, event: &RunEvent<'_>);
}

impl<O: Observer + ?Sized> Observer for &O {
    fn on(&self, event: &RunEvent<'_>) {
        (**self).on(event);
    }
}

/// Notifies several observers, one after another.
impl<O: Observer> Observer for Vec<O> {
    fn on(&self, event: &RunEvent<'_>) {
        self.iter().for_each(|observer| observer.on(event));
    }
}

/// An event with its time. As JSON: `{"at": 1.25, "event": "step", "about": {"number": 1, …}}`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RunEvent<'a> {
    /// Time since the run, the audit or the table measurement began. In JSON, in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub at: Duration,
    /// The event.
    #[serde(flatten)]
    pub kind: EventKind<'a>,
}

/// The kinds of event, with their data.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case", tag = "event", content = "about")]
pub enum EventKind<'a> {
    /// A run of a chapter begins.
    Begins {
        /// The chapter's short name.
        name: &'a str,
        /// Its place among the article's chapters.
        number: u32,
        /// The article's heading.
        title: &'a str,
        /// What it asks, in one sentence.
        question: &'a str,
    },
    /// The machines are up.
    Up {
        /// The number of machines that were started.
        machines: usize,
    },
    /// A step begins.
    Step {
        /// Its number, from 1.
        number: usize,
        /// Number of steps.
        of: usize,
        /// Its name.
        name: &'a str,
        /// The step's explanation.
        say: &'a str,
    },
    /// A command was carried out that a student could have typed.
    Did {
        /// The command.
        command: &'a str,
    },
    /// Something happened in the lab.
    Happened(&'a Event),
    /// Live figures of the traffics.
    Live {
        /// The current activity: "measuring", "waiting for web-1 to be ejected".
        doing: &'a str,
        /// Maximum time left. In JSON, in seconds.
        #[serde(serialize_with = "as_seconds")]
        left: Duration,
        /// The active traffics.
        traffics: &'a [(&'a str, LiveFigures)],
    },
    /// A capacity search tried a rate.
    Tried {
        /// The traffic.
        traffic: &'a str,
        /// Requests a second.
        rate: f64,
        /// The outcome of the trial.
        tried: &'a Tried,
    },
    /// An additional remark.
    Note {
        /// A sentence, or part of one.
        text: &'a str,
    },
    /// A claim was judged.
    Claim(&'a ClaimResult),
    /// Acknowledged writes of a history were lost.
    Lost {
        /// The history.
        history: &'a str,
        /// The records with lost writes.
        records: &'a [Lost],
    },
    /// Operations of a history that no order explains: it is not linearizable.
    Offence {
        /// The history.
        history: &'a str,
        /// The operations, drawn.
        picture: &'a str,
    },
    /// A table was filled in.
    Table(&'a FilledTable),
    /// A run of a chapter has ended, with this result.
    Ended(&'a RunDocument),
    /// The result of the last run does not count: the chapter is run once more.
    OnceMore {
        /// What made the result doubtful.
        reason: &'a str,
    },
    /// An audit begins to inject faults.
    AuditBegins {
        /// The architecture's short name.
        architecture: &'a str,
        /// Number of faults.
        faults: usize,
        /// Approximate total duration in seconds.
        seconds: f64,
    },
    /// A fault is being injected.
    Fault {
        /// The architecture's short name.
        architecture: &'a str,
        /// The fault, in words.
        title: &'a str,
    },
    /// A fault's trial has ended.
    FaultEnded {
        /// The architecture's short name.
        architecture: &'a str,
        /// The fault, in words.
        title: &'a str,
        /// The worst effect that it had, in words.
        worst: &'a str,
        /// Expected duration in seconds.
        seconds: f64,
    },
    /// More work was added to the estimate.
    Expected {
        /// Approximate duration in seconds.
        seconds: f64,
    },
    /// Part of a long measurement is in progress.
    Doing {
        /// The activity, in words.
        what: &'a str,
    },
    /// Part of a long measurement is done.
    Done {
        /// The result, in one line.
        found: &'a str,
        /// Expected duration in seconds.
        seconds: f64,
    },
}

/// Sends events to an observer, stamped with the time since the beginning.
#[derive(Clone, Copy)]
pub struct Emitter<'a> {
    observer: &'a dyn Observer,
    began: Instant,
}

impl<'a> Emitter<'a> {
    /// Creates an emitter whose events are stamped with the time since `began`.
    pub fn new(observer: &'a dyn Observer, began: Instant) -> Self {
        Self { observer, began }
    }

    /// Reports an event that has just happened.
    pub fn emit(&self, kind: EventKind<'_>) {
        self.observer.on(&RunEvent { at: self.began.elapsed(), kind });
    }
}

fn as_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_its_time_and_its_kind() {
        let live = [("shoppers", LiveFigures { ok: 3, ..LiveFigures::default() })];
        let kind = EventKind::Live { doing: "measuring", left: Duration::from_millis(1500), traffics: &live };
        let event = serde_json::to_value(RunEvent { at: Duration::from_millis(250), kind }).unwrap();
        assert_eq!((&event["at"], &event["event"]), (&0.25.into(), &"live".into()));
        assert_eq!(event["about"]["left"], 1.5);
        assert_eq!(event["about"]["traffics"][0][1]["ok"], 3);
    }
}
