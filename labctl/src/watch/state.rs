//! What the page of a lab says of it, as far as a terminal shows it.
#![deny(clippy::disallowed_methods)]

use serde::Deserialize;

/// The whole lab at a moment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct State {
    /// Seconds since the lab began.
    pub at: f64,
    /// Its machines, in the plan's order.
    pub machines: Vec<Machine>,
    /// The wires between them.
    pub wires: Vec<Wire>,
    /// The chapter's traffics.
    pub traffics: Vec<Traffic>,
    /// All traffics together.
    pub totals: Totals,
}

/// One machine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its name in the chapter.
    pub kind: String,
    /// What stands on it.
    pub programs: Vec<ProgramView>,
    /// Whether it does its work.
    pub health: Health,
    /// How it is, in a word or two.
    pub word: String,
    /// Why, where that is known.
    pub reason: Option<String>,
    /// Since when it is so, in seconds since the lab began.
    pub since: f64,
    /// Its part in a cluster or a pair.
    pub role: Option<String>,
    /// Share of its cores at work, from 0 to 1.
    pub cpu: Option<f64>,
    /// Jobs that wait for a core.
    pub queue: Option<usize>,
    /// Bytes held.
    pub memory_held: Option<u64>,
    /// Bytes there are.
    pub memory_limit: Option<u64>,
}

/// One program on a machine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ProgramView {
    /// What it is.
    pub program: String,
    /// Where it answers.
    pub address: String,
    /// Its process id.
    pub pid: u32,
}

/// Whether a machine does its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It does.
    #[default]
    Well,
    /// Not as it should.
    Limping,
    /// It does not.
    Down,
}

/// One wire.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Wire {
    /// From which machine; `clients` for what comes from outside.
    pub from: String,
    /// To which machine, or kind of machine.
    pub to: String,
    /// What passes through it.
    pub carries: String,
    /// Requests a second, where somebody counts them.
    pub rps: Option<f64>,
    /// What was done to it.
    pub now: Option<String>,
    /// Whether the balancer at its beginning sends nothing over it.
    pub ejected: bool,
}

/// One traffic.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Its name.
    pub name: String,
    /// Requests a second that it is set to send.
    pub rate: f64,
    /// Answers a second that were good.
    pub ok: f64,
    /// Those that were not.
    pub failed: f64,
    /// How long half of the good ones took at most, in milliseconds.
    pub p50_ms: Option<f64>,
    /// How long 99 % of them took at most.
    pub p99_ms: Option<f64>,
    /// Answers of the last second by the server that gave them.
    pub served: indexmap::IndexMap<String, usize>,
}

/// All traffics together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Requests a second that are meant to be sent.
    pub offered: f64,
    /// Answers a second that are good.
    pub good: f64,
    /// Those that are not.
    pub failed: f64,
    /// The worst p99 of all traffics, in milliseconds.
    pub p99_ms: Option<f64>,
    /// How late the generator is at worst, in milliseconds.
    pub lag_ms: f64,
    /// The last fault, and what failed since.
    pub fault: Option<Fault>,
}

/// The last fault.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Fault {
    /// What happened.
    pub what: String,
    /// Requests that failed since.
    pub failed: usize,
    /// Requests in that time.
    pub of: usize,
}

/// One second of all traffics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Second {
    /// When it ended, in seconds since the lab began.
    pub at: f64,
    /// Requests a second that were meant to be sent.
    pub offered: f64,
    /// Good answers.
    pub good: f64,
    /// Others.
    pub failed: f64,
    /// The worst p99, in milliseconds.
    pub p99_ms: Option<f64>,
}

/// What does not change while a lab runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Hello {
    /// The chapter.
    pub chapter: ChapterTitle,
    /// Its traffics, with where they go.
    pub traffics: Vec<Aim>,
    /// What the chapter tells.
    pub story: Vec<StoryStep>,
    /// The last minute.
    pub history: Vec<Second>,
}

/// A chapter's heading.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ChapterTitle {
    /// What `labctl run` calls it.
    pub name: String,
    /// Its number.
    pub number: u32,
    /// Its title.
    pub title: String,
    /// What it asks.
    pub question: String,
}

/// Where a traffic goes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Aim {
    /// The traffic.
    pub name: String,
    /// The machine.
    pub to: String,
}

/// A step of the chapter.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StoryStep {
    /// Its name.
    pub name: String,
    /// What is told.
    pub say: String,
    /// What it does, as commands.
    pub acts: Vec<Deed>,
    /// What is claimed.
    pub claims: Vec<Claim>,
}

/// One thing that a step does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Deed {
    /// What would do the same.
    pub command: String,
}

/// One thing that a step claims.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Claim {
    /// Its words.
    pub claim: String,
}

/// Something that happened.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Its number.
    pub id: usize,
    /// When, in seconds since the lab began.
    pub at: f64,
    /// What happened.
    pub text: String,
    /// Whether something broke.
    pub fault: bool,
}
