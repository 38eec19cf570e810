//! The events of a run, an audit or the measuring of the table, and the observers that are told them. Nothing that
//! measures prints: a terminal, a progress bar, a JUnit file and a page are observers.

use std::time::{Duration, Instant};

use history::lost::Lost;
use serde::{Serialize, Serializer};

use super::{ClaimResult, FilledTable, RunDocument};
use lab::Event;
use load::{LiveFigures, Tried};

/// Is told each event as soon as it happens. It must not block: it is called by the code that measures.
pub trait Observer: Sync {
    /// Takes note of one event.
    fn on(&self, event: &RunEvent<'_>);
}

impl<O: Observer + ?Sized> Observer for &O {
    fn on(&self, event: &RunEvent<'_>) {
        (**self).on(event);
    }
}

/// Several observers are told one after the other.
impl<O: Observer> Observer for Vec<O> {
    fn on(&self, event: &RunEvent<'_>) {
        self.iter().for_each(|observer| observer.on(event));
    }
}

/// Something that happened. As JSON: `{"at": 1.25, "event": "step", "about": {"number": 1, …}}`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RunEvent<'a> {
    /// The time since the run, the audit or the measuring of the table began. In JSON, in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub at: Duration,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind<'a>,
}

/// What can happen.
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
        /// How many there are.
        of: usize,
        /// Its name.
        name: &'a str,
        /// What it says.
        say: &'a str,
    },
    /// Something was done that a student could have typed.
    Did {
        /// The command.
        command: &'a str,
    },
    /// Something happened in the lab.
    Happened(&'a Event),
    /// How the traffics are now.
    Live {
        /// What goes on: "measuring", "waiting for web-1 to be ejected".
        doing: &'a str,
        /// How much longer, at most. In JSON, in seconds.
        #[serde(serialize_with = "as_seconds")]
        left: Duration,
        /// The traffics under way.
        traffics: &'a [(&'a str, LiveFigures)],
    },
    /// A rate was tried in a search for capacity.
    Tried {
        /// The traffic.
        traffic: &'a str,
        /// Requests a second.
        rate: f64,
        /// How it went.
        tried: &'a Tried,
    },
    /// Something worth saying besides.
    Note {
        /// A sentence, or part of one.
        text: &'a str,
    },
    /// A claim was judged.
    Claim(&'a ClaimResult),
    /// Acknowledged writes of a history that are lost.
    Lost {
        /// The history.
        history: &'a str,
        /// The records that miss some.
        records: &'a [Lost],
    },
    /// Some operations of a history that no order explains.
    Offence {
        /// The history.
        history: &'a str,
        /// The operations, drawn.
        picture: &'a str,
    },
    /// A table was filled in.
    Table(&'a FilledTable),
    /// A run of a chapter has ended, and this was found.
    Ended(&'a RunDocument),
    /// What the last run found does not count: its chapter is run once more.
    OnceMore {
        /// What made it doubtful.
        reason: &'a str,
    },
    /// Faults will be looked at.
    AuditBegins {
        /// The architecture's short name.
        architecture: &'a str,
        /// How many faults.
        faults: usize,
        /// How long they take, about, in seconds.
        seconds: f64,
    },
    /// A fault is looked at now.
    Fault {
        /// The architecture's short name.
        architecture: &'a str,
        /// The fault, in words.
        title: &'a str,
    },
    /// A fault was looked at.
    FaultEnded {
        /// The architecture's short name.
        architecture: &'a str,
        /// The fault, in words.
        title: &'a str,
        /// The worst that it did, in words.
        worst: &'a str,
        /// How long it had been expected to take, in seconds.
        seconds: f64,
    },
    /// There is so much to do besides, in seconds.
    Expected {
        /// How long it takes, about.
        seconds: f64,
    },
    /// Part of a long measurement goes on.
    Doing {
        /// What, in words.
        what: &'a str,
    },
    /// Part of a long measurement is done.
    Done {
        /// What was found, in one line.
        found: &'a str,
        /// How long it had been expected to take, in seconds.
        seconds: f64,
    },
}

/// Tells an observer what happens, with the time since the beginning.
#[derive(Clone, Copy)]
pub struct Emitter<'a> {
    observer: &'a dyn Observer,
    began: Instant,
}

impl<'a> Emitter<'a> {
    /// What it tells is stamped with the time since `began`.
    pub fn new(observer: &'a dyn Observer, began: Instant) -> Self {
        Self { observer, began }
    }

    /// Something has just happened.
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
