//! The state of a lab as its page reports it, as far as a terminal shows it.
#![deny(clippy::disallowed_methods)]

use serde::Deserialize;

/// The state of the whole lab at one moment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct State {
    /// Seconds since the lab began.
    pub at: f64,
    /// Its machines, in the plan's order.
    pub machines: Vec<Machine>,
    /// The links between them.
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
    /// The programs on it.
    pub programs: Vec<ProgramView>,
    /// Whether it works as it should.
    pub health: Health,
    /// Its state in a word or two.
    pub word: String,
    /// The reason, where it is known.
    pub reason: Option<String>,
    /// When the state began, in seconds since the lab began.
    pub since: f64,
    /// Its role in a cluster or a pair.
    pub role: Option<String>,
    /// Utilisation of its cores, from 0 to 1.
    pub cpu: Option<f64>,
    /// Number of jobs that wait for a core.
    pub queue: Option<usize>,
    /// Bytes of memory in use.
    pub memory_held: Option<u64>,
    /// Bytes of memory available.
    pub memory_limit: Option<u64>,
}

/// One program on a machine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ProgramView {
    /// The program's name.
    pub program: String,
    /// The address on which it listens.
    pub address: String,
    /// Its process id.
    pub pid: u32,
}

/// Whether a machine works as it should.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It works.
    #[default]
    Well,
    /// It works, but not as it should.
    Limping,
    /// It does not work.
    Down,
}

/// One link.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Wire {
    /// The machine that it starts from; `clients` for requests from outside.
    pub from: String,
    /// The machine, or kind of machine, that it leads to.
    pub to: String,
    /// The kind of data that passes through it.
    pub carries: String,
    /// Requests per second, where they are counted.
    pub rps: Option<f64>,
    /// The fault injected into it, if any.
    pub now: Option<String>,
    /// Whether the balancer at its start has ejected its target.
    pub ejected: bool,
}

/// One traffic.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Its name.
    pub name: String,
    /// Target rate in requests per second.
    pub rate: f64,
    /// Successful answers per second.
    pub ok: f64,
    /// Failures per second.
    pub failed: f64,
    /// Median latency of successful answers, in milliseconds.
    pub p50_ms: Option<f64>,
    /// Their 99th percentile, in milliseconds.
    pub p99_ms: Option<f64>,
    /// Answers of the last second by server.
    pub served: indexmap::IndexMap<String, usize>,
}

/// All traffics together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Target rate in requests per second.
    pub offered: f64,
    /// Successful answers per second.
    pub good: f64,
    /// Failures per second.
    pub failed: f64,
    /// The worst p99 of all traffics, in milliseconds.
    pub p99_ms: Option<f64>,
    /// The generator's worst lag, in milliseconds.
    pub lag_ms: f64,
    /// The last fault, with the failures since.
    pub fault: Option<Fault>,
}

/// The last fault.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Fault {
    /// Description of the fault.
    pub what: String,
    /// Requests that have failed since.
    pub failed: usize,
    /// Number of requests since.
    pub of: usize,
}

/// One second of all traffics together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Second {
    /// When it ended, in seconds since the lab began.
    pub at: f64,
    /// Target rate in requests per second.
    pub offered: f64,
    /// Successful answers.
    pub good: f64,
    /// Failed requests.
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
    /// Its traffics with their targets.
    pub traffics: Vec<Aim>,
    /// The steps of the chapter.
    pub story: Vec<StoryStep>,
    /// The figures of the last minute.
    pub history: Vec<Second>,
}

/// A chapter's heading.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ChapterTitle {
    /// Its name for `labctl run`.
    pub name: String,
    /// Its number.
    pub number: u32,
    /// Its title.
    pub title: String,
    /// The question that it asks.
    pub question: String,
}

/// The target of a traffic.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Aim {
    /// The traffic.
    pub name: String,
    /// The target machine.
    pub to: String,
}

/// A step of the chapter.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StoryStep {
    /// Its name.
    pub name: String,
    /// Its explanation.
    pub say: String,
    /// Its acts, as commands.
    pub acts: Vec<Deed>,
    /// Its claims.
    pub claims: Vec<Claim>,
}

/// One act of a step.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Deed {
    /// The equivalent command.
    pub command: String,
}

/// One claim of a step.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Claim {
    /// Its wording.
    pub claim: String,
}

/// An event in the lab.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Its sequence number.
    pub id: usize,
    /// When it happened, in seconds since the lab began.
    pub at: f64,
    /// Description of the event.
    pub text: String,
    /// Whether something broke.
    pub fault: bool,
}
