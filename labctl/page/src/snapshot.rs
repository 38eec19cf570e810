//! What the page is told, as documents, and what a machine's figures mean. Pure.
#![deny(clippy::disallowed_methods)]

use lab::{MachineStatus, Program};
use load::Tried;
use schemars::JsonSchema;
use serde::Serialize;

use crate::topology::Carries;

/// The version of every document of the page.
pub(crate) const SCHEMA: &str = "scaling-lab/page/1";

/// The whole lab at a moment.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct Snapshot {
    /// The documents' version.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// Seconds since the lab began.
    pub at: f64,
    /// Its machines, in the plan's order.
    pub machines: Vec<MachineView>,
    /// The wires between them.
    pub wires: Vec<WireView>,
    /// The chapter's traffics.
    pub traffics: Vec<TrafficView>,
    /// All traffics together.
    pub totals: Totals,
    /// The search for a capacity that goes on, or was the last one.
    pub capacity: Option<CapacityView>,
    /// What a run does now, where one goes on.
    pub run: Option<RunNow>,
}

impl Snapshot {
    /// Whether nothing is new in it but the time.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.machines == other.machines
            && self.wires == other.wires
            && self.traffics == other.traffics
            && self.totals == other.totals
            && self.capacity == other.capacity
            && self.run == other.run
    }
}

/// A share, as precisely as anybody sees it: noise below that is nothing new.
pub(crate) fn rounded(share: f64) -> f64 {
    (share * 1e3).round() / 1e3
}

/// A search for the highest rate of a traffic that meets an objective.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct CapacityView {
    /// The traffic.
    pub traffic: String,
    /// 99 % of the answers have to come within so many milliseconds.
    pub p99_ms: f64,
    /// The rates that were tried, in their order.
    pub tried: Vec<RateTried>,
    /// Whether it goes on.
    pub searching: bool,
    /// What was found, in requests a second.
    pub rate: Option<f64>,
    /// The highest rate that was good.
    pub low: Option<f64>,
    /// The lowest that was too much.
    pub high: Option<f64>,
    /// Why it should not be trusted.
    pub distrust: Option<String>,
}

/// A rate, and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct RateTried {
    /// Requests a second.
    pub rate: f64,
    /// Whether it met the objective, how slow the slowest percent was, and what failed.
    #[serde(flatten)]
    pub tried: Tried,
    /// The machines that did not survive it, and were started again.
    pub died: Vec<String>,
}

/// What a run does now.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct RunNow {
    /// "measuring", "waiting for web-1 to be ejected".
    pub doing: String,
    /// For how many more seconds, at most.
    pub left_s: f64,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct MachineView {
    /// Its name.
    pub name: String,
    /// Its name in the chapter.
    pub kind: String,
    /// What stands on it.
    pub programs: Vec<ProgramView>,
    /// How it is.
    #[serde(flatten)]
    pub condition: Condition,
    /// Since when it is so, in seconds since the lab began.
    pub since: f64,
    /// Its part in a cluster or a pair: `primary, term 4`.
    pub role: Option<String>,
    /// The process that stands for it.
    pub pid: u32,
    /// Its cores.
    pub cores: u32,
    /// Dollars a month.
    pub price: f64,
    /// Share of its cores at work, from 0 to 1.
    pub cpu: Option<f64>,
    /// Jobs that wait for a core.
    pub queue: Option<usize>,
    /// Bytes held.
    pub memory_held: Option<u64>,
    /// Bytes there are.
    pub memory_limit: Option<u64>,
    /// Requests being answered, where a program on it says so.
    pub in_flight: Option<u64>,
    /// A balancer's policy, and how many turns it has taken.
    pub policy: Option<PolicyView>,
}

/// How a balancer chooses.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct PolicyView {
    /// `round-robin`, `least-busy`, …
    pub name: String,
    /// Turns taken since it started.
    pub turns_taken: u64,
    /// The upstreams that take the next turns, where they are known before.
    pub order: Vec<String>,
}

/// One program on a machine.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ProgramView {
    /// What it is.
    pub program: &'static str,
    /// Where it answers.
    pub address: String,
    /// Its process id.
    pub pid: u32,
    /// Whether it is there.
    pub alive: bool,
    /// Whether it is stopped.
    pub frozen: bool,
}

/// How a machine is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Condition {
    /// The colour.
    pub health: Health,
    /// The word beside it.
    pub word: &'static str,
    /// Why, where that is known.
    pub reason: Option<String>,
}

/// What colours mean, and nothing else has a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Health {
    /// It does its work.
    Well,
    /// It works, and not as it should.
    Limping,
    /// It does not work.
    Down,
}

/// One wire.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct WireView {
    /// From which machine; `clients` for what comes from outside.
    pub from: String,
    /// To which machine, or kind of machine.
    pub to: String,
    /// What passes through it.
    pub carries: Carries,
    /// Requests a second, where somebody counts them.
    pub rps: Option<f64>,
    /// The share of them that fails, from 0 to 1.
    pub failed: Option<f64>,
    /// Whether it can be cut and slowed.
    pub link: bool,
    /// What was done to it: `cut`, `slow by 2s`.
    pub now: Option<String>,
    /// Whether what is at its end is left out on purpose: ejected by the balancer at its beginning.
    pub ejected: bool,
    /// Whether the balancer at its beginning sends the next request over it.
    pub next: bool,
}

/// One traffic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct TrafficView {
    /// Its name.
    pub name: String,
    /// Requests a second that it is set to send.
    pub rate: f64,
    /// Requests a second that it has sent in the last second.
    pub sent: f64,
    /// Answers a second that were good.
    pub ok: f64,
    /// Those that were not.
    pub failed: f64,
    /// How long half of the good ones took at most, in milliseconds.
    pub p50_ms: Option<f64>,
    /// How long 99 % of them took at most.
    pub p99_ms: Option<f64>,
    /// Requests without an answer yet.
    pub in_flight: usize,
    /// How late 99 % of them were sent at most, in milliseconds.
    pub lag_ms: f64,
    /// Answers of the last second by the server that gave them.
    pub served: indexmap::IndexMap<String, usize>,
    /// Answers of the last second by what they said of the cache.
    pub cache: indexmap::IndexMap<&'static str, usize>,
    /// Requests that failed since the last fault.
    pub failed_since: usize,
    /// Requests in that time.
    pub of_since: usize,
}

/// All traffics together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Totals {
    /// Requests a second that are meant to be sent.
    pub offered: f64,
    /// Answers a second that are good.
    pub good: f64,
    /// Those that are not.
    pub failed: f64,
    /// The worst p99 of all traffics, in milliseconds.
    pub p99_ms: Option<f64>,
    /// How late the generator is at worst, in milliseconds (p99).
    pub lag_ms: f64,
    /// Requests without an answer yet.
    pub in_flight: usize,
    /// The last fault, and what failed since.
    pub fault: Option<Fault>,
}

/// The last fault.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Fault {
    /// When, in seconds since the lab began.
    pub at: f64,
    /// What happened.
    pub what: String,
    /// Requests that failed since, of those that were meant to be sent in the time that is counted.
    pub failed: usize,
    /// Requests in that time.
    pub of: usize,
    /// For how many seconds it was counted: the generator remembers no longer.
    pub counted_s: f64,
}

/// One second of all traffics, for charts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Second {
    /// When it ended, in seconds since the lab began.
    pub at: f64,
    /// Requests a second that were meant to be sent.
    pub offered: f64,
    /// Good answers.
    pub good: f64,
    /// Others.
    pub failed: f64,
    /// The worst p50 of all traffics, in milliseconds.
    pub p50_ms: Option<f64>,
    /// The worst p99.
    pub p99_ms: Option<f64>,
}

/// Above this share of its cores a machine is at its limit.
const CPU_LIMIT: f64 = 0.95;
/// Above this share of its memory it is about to die.
const MEMORY_LIMIT: f64 = 0.9;

/// How a machine is, from its figures; `last` is what was last heard of it, `ejected_by` are the balancers that
/// send it nothing.
pub(crate) fn condition(
    machine: &MachineStatus,
    cpu: Option<f64>,
    last: Option<&str>,
    ejected_by: &[String],
) -> Condition {
    let last = last.map(str::to_owned);
    let is = |health, word, reason| Condition { health, word, reason };
    let dead = machine.programs.iter().find(|program| !program.alive);
    let frozen = machine.programs.iter().filter(|program| program.frozen).count();
    if !machine.on {
        return is(Health::Down, "down", last);
    }
    if !machine.connected {
        return is(Health::Down, "cut off", last);
    }
    if frozen == machine.programs.len() && frozen > 0 {
        return is(Health::Down, "frozen", last);
    }
    if let Some(program) = dead {
        return is(Health::Down, "down", Some(format!("{} is gone", program.program.name())));
    }
    if frozen > 0 {
        return is(Health::Limping, "half frozen", last);
    }
    let Some(usage) = machine.usage else {
        if machine.unmeasured {
            return match ejected_by {
                [] => is(Health::Well, "up", None),
                _ => is(
                    Health::Limping,
                    "ejected",
                    Some(format!("{} sends it nothing", ejected_by.join(", "))),
                ),
            };
        }
        return is(Health::Limping, "silent", Some("it does not answer".into()));
    };
    if !ejected_by.is_empty() {
        let reason = format!("{} sends it nothing", ejected_by.join(", "));
        return is(Health::Limping, "ejected", Some(reason));
    }
    if usage.disk_full {
        return is(Health::Limping, "disk full", Some("it cannot write".into()));
    }
    if usage.memory_limit > 0 && usage.memory_held as f64 > MEMORY_LIMIT * usage.memory_limit as f64 {
        return is(Health::Limping, "memory almost full", Some("it is killed when it is".into()));
    }
    if cpu.is_some_and(|cpu| cpu > CPU_LIMIT) && usage.cpu_waiting > machine.cores as usize {
        let reason = format!("{} jobs wait for a core", usage.cpu_waiting);
        return is(Health::Limping, "at its limit", Some(reason));
    }
    is(Health::Well, "up", None)
}

/// A machine's programs, as they are shown.
pub(crate) fn programs(machine: &MachineStatus) -> Vec<ProgramView> {
    let view = |program: &lab::ProgramStatus| ProgramView {
        program: Program::name(program.program),
        address: program.address.to_string(),
        pid: program.pid,
        alive: program.alive,
        frozen: program.frozen,
    };
    machine.programs.iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::ProgramStatus;
    use machine::capacity::Usage;

    fn machine() -> MachineStatus {
        let usage = Usage {
            cpu_busy_seconds: 1.0,
            cpu_waiting: 0,
            cpu_waiting_seconds: 0.0,
            disk_busy_seconds: 0.0,
            disk_waiting: 0,
            disk_full: false,
            memory_held: 10,
            memory_limit: 100,
            page_hits: 0,
            page_misses: 0,
        };
        let program = ProgramStatus {
            program: Program::Webserver,
            address: "127.0.0.1:9001".parse().unwrap(),
            health: "127.0.0.1:9001".parse().unwrap(),
            pid: 2,
            alive: true,
            frozen: false,
        };
        MachineStatus {
            name: "web-1".into(),
            pid: 1,
            on: true,
            connected: true,
            programs: vec![program],
            usage: Some(usage),
            unmeasured: false,
            price: 200.0,
            cores: 1,
        }
    }

    fn word(machine: &MachineStatus, cpu: f64, ejected_by: &[String]) -> (Health, &'static str) {
        let condition = condition(machine, Some(cpu), Some("killed by signal 9, not by labctl"), ejected_by);
        (condition.health, condition.word)
    }

    #[test]
    fn what_only_the_time_tells_apart_is_nothing_new() {
        let at =
            |at, good| Snapshot { at, totals: Totals { good, ..Totals::default() }, ..Snapshot::default() };
        assert!(at(1.0, 5.0).is_like(&at(2.0, 5.0)));
        assert!(!at(1.0, 5.0).is_like(&at(1.0, 6.0)));
        assert_eq!((rounded(0.123_44), rounded(0.000_4)), (0.123, 0.0));
    }

    #[test]
    fn a_machine_has_one_word_and_the_worst_one() {
        assert_eq!(word(&machine(), 0.5, &[]), (Health::Well, "up"));
        assert_eq!(word(&machine(), 0.5, &["lb".into()]), (Health::Limping, "ejected"));
        let mut frozen = machine();
        frozen.programs[0].frozen = true;
        assert_eq!(word(&frozen, 0.0, &["lb".into()]), (Health::Down, "frozen"));
        let off = MachineStatus { on: false, usage: None, ..machine() };
        assert_eq!(word(&off, 0.0, &["lb".into()]), (Health::Down, "down"));
        let silent = MachineStatus { usage: None, ..machine() };
        assert_eq!(word(&silent, 0.0, &[]), (Health::Limping, "silent"));
    }

    #[test]
    fn a_machine_that_cannot_do_more_says_so() {
        let mut busy = machine();
        assert_eq!(word(&busy, 1.0, &[]), (Health::Well, "up"), "busy, and nobody waits");
        busy.usage.as_mut().unwrap().cpu_waiting = 7;
        assert_eq!(word(&busy, 1.0, &[]), (Health::Limping, "at its limit"));
        busy.usage.as_mut().unwrap().memory_held = 95;
        assert_eq!(word(&busy, 1.0, &[]), (Health::Limping, "memory almost full"));
    }
}
