//! What a run tells while it goes on, and to whom. The runner does not print.

use std::time::Duration;

use history::lost::Lost;

use super::{ClaimResult, FilledTable};
use crate::testbed::capacity::Tried;
use lab::Event;
use load::LiveFigures;

/// Whoever listens: a terminal, a log, nobody.
pub trait Audience: Sync {
    /// Hears one thing.
    fn hear(&self, telling: Telling<'_>);
}

/// One thing to tell.
#[derive(Debug)]
pub enum Telling<'a> {
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
    Did(&'a str),
    /// Something happened in the lab.
    Happened(&'a Event),
    /// One traffic as it is now.
    Live {
        /// What goes on: "measuring", "waiting for web-1 to be ejected".
        doing: &'a str,
        /// How much longer, at most.
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
    Note(&'a str),
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
}
