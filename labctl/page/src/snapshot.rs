//! The documents that the page receives, and the interpretation of a machine's figures. Pure.
#![deny(clippy::disallowed_methods)]

use lab::{MachineStatus, Program};
use load::Tried;
use schemars::JsonSchema;
use serde::Serialize;

use crate::topology::Carries;

/// The version of all documents of the page.
pub(crate) const SCHEMA: &str = "scaling-lab/page/1";

/// The state of the whole lab at one moment.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct Snapshot {
    /// The version of the document.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// Seconds since the lab started.
    pub at: f64,
    /// The machines, in the plan's order.
    pub machines: Vec<MachineView>,
    /// The wires between them.
    pub wires: Vec<WireView>,
    /// The chapter's traffics.
    pub traffics: Vec<TrafficView>,
    /// All traffics together.
    pub totals: Totals,
    /// The current capacity search, or the last one.
    pub capacity: Option<CapacityView>,
    /// The current activity of a run, if there is one.
    pub run: Option<RunNow>,
}

impl Snapshot {
    /// Returns whether only the time differs.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.machines == other.machines
            && self.wires == other.wires
            && self.traffics == other.traffics
            && self.totals == other.totals
            && self.capacity == other.capacity
            && self.run == other.run
    }
}

/// Rounds a share to what can be told apart on the page: smaller changes are noise.
pub(crate) fn rounded(share: f64) -> f64 {
    (share * 1e3).round() / 1e3
}

/// A search for the highest rate of a traffic that meets an objective.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct CapacityView {
    /// The traffic.
    pub traffic: String,
    /// The objective: the highest p99 response time allowed, in milliseconds.
    pub p99_ms: f64,
    /// The rates tried, in order.
    pub tried: Vec<RateTried>,
    /// Whether the search is still running.
    pub searching: bool,
    /// The result, in requests a second.
    pub rate: Option<f64>,
    /// The highest rate that met the objective.
    pub low: Option<f64>,
    /// The lowest rate that did not.
    pub high: Option<f64>,
    /// Why the result should not be trusted.
    pub distrust: Option<String>,
}

/// A rate and its outcome.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct RateTried {
    /// Requests a second.
    pub rate: f64,
    /// Whether it met the objective, the p99, and the failures.
    #[serde(flatten)]
    pub tried: Tried,
    /// The machines that did not survive it, and were restarted.
    pub died: Vec<String>,
}

/// The current activity of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct RunNow {
    /// "measuring", "waiting for web-1 to be ejected".
    pub doing: String,
    /// The most seconds that it may still take.
    pub left_s: f64,
}

/// One machine.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct MachineView {
    /// Its name.
    pub name: String,
    /// Its name in the chapter.
    pub kind: String,
    /// The programs on it.
    pub programs: Vec<ProgramView>,
    /// Its condition.
    #[serde(flatten)]
    pub condition: Condition,
    /// Since when it has been in this condition, in seconds since the lab started.
    pub since: f64,
    /// Its role in a cluster or a pair: `primary, term 4`.
    pub role: Option<String>,
    /// The ID of the process that represents it.
    pub pid: u32,
    /// Its cores.
    pub cores: u32,
    /// Its price, in dollars a month.
    pub price: f64,
    /// The share of its cores in use, from 0 to 1.
    pub cpu: Option<f64>,
    /// The number of jobs that wait for a core.
    pub queue: Option<usize>,
    /// Memory in use, in bytes.
    pub memory_held: Option<u64>,
    /// Memory in total, in bytes.
    pub memory_limit: Option<u64>,
    /// Requests in flight, if a program on it reports them.
    pub in_flight: Option<u64>,
    /// A balancer's policy, and the number of turns it has taken.
    pub policy: Option<PolicyView>,
}

/// How a balancer chooses an upstream.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct PolicyView {
    /// `round-robin`, `least-busy`, …
    pub name: String,
    /// Turns taken since it started.
    pub turns_taken: u64,
    /// The upstreams that take the next turns, if they are known in advance.
    pub order: Vec<String>,
}

/// One program on a machine.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ProgramView {
    /// Its name.
    pub program: &'static str,
    /// The address that it listens on.
    pub address: String,
    /// Its process id.
    pub pid: u32,
    /// Whether it is running.
    pub alive: bool,
    /// Whether it is frozen (SIGSTOP).
    pub frozen: bool,
}

/// The condition of a machine.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Condition {
    /// Its health, shown as a colour.
    pub health: Health,
    /// The word shown beside it.
    pub word: &'static str,
    /// The reason, if it is known.
    pub reason: Option<String>,
}

/// A machine's health. Colours on the page mean this and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Health {
    /// It works normally.
    Well,
    /// It works, but not properly.
    Limping,
    /// It does not work.
    Down,
}

/// One wire.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct WireView {
    /// The machine that it comes from; `clients` for requests from outside.
    pub from: String,
    /// The machine, or kind of machine, that it goes to.
    pub to: String,
    /// What it carries.
    pub carries: Carries,
    /// Requests a second, if they are counted.
    pub rps: Option<f64>,
    /// The share of requests that fail, from 0 to 1.
    pub failed: Option<f64>,
    /// Whether it is a link that can be cut and slowed.
    pub link: bool,
    /// The fault applied to it: `cut`, `slow by 2s`.
    pub now: Option<String>,
    /// Whether the balancer at its start has ejected the machine at its end.
    pub ejected: bool,
    /// Whether the balancer at its start sends the next request over it.
    pub next: bool,
}

/// One traffic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct TrafficView {
    /// Its name.
    pub name: String,
    /// The configured rate, in requests a second.
    pub rate: f64,
    /// The rate sent in the last second, in requests a second.
    pub sent: f64,
    /// Good responses a second.
    pub ok: f64,
    /// Failed responses a second.
    pub failed: f64,
    /// The median response time of good responses, in milliseconds.
    pub p50_ms: Option<f64>,
    /// The 99th percentile of the same, in milliseconds.
    pub p99_ms: Option<f64>,
    /// Requests in flight.
    pub in_flight: usize,
    /// The 99th percentile of the generator's lag: how late requests were sent, in milliseconds.
    pub lag_ms: f64,
    /// Responses of the last second, by server.
    pub served: indexmap::IndexMap<String, usize>,
    /// Responses of the last second, by cache status.
    pub cache: indexmap::IndexMap<&'static str, usize>,
    /// Requests that failed since the last fault.
    pub failed_since: usize,
    /// Requests since the last fault.
    pub of_since: usize,
    /// The longest outage since the last fault, if there was one.
    pub outage: Option<Outage>,
}

/// A time in which requests of a traffic were due, and none was answered well.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Outage {
    /// Its length in seconds, up to the first good answer.
    pub seconds: f64,
    /// Whether a good answer has ended it.
    pub over: bool,
}

/// All traffics together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Totals {
    /// The configured rate, in requests a second.
    pub offered: f64,
    /// Good responses a second.
    pub good: f64,
    /// Failed responses a second.
    pub failed: f64,
    /// The highest p99 of any traffic, in milliseconds.
    pub p99_ms: Option<f64>,
    /// The generator's highest lag of any traffic (p99), in milliseconds.
    pub lag_ms: f64,
    /// Requests in flight.
    pub in_flight: usize,
    /// The last fault, and the failures since then.
    pub fault: Option<Fault>,
}

/// The last fault.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Fault {
    /// When it happened, in seconds since the lab started.
    pub at: f64,
    /// What happened.
    pub what: String,
    /// Requests that failed since then, out of those due in the counted time.
    pub failed: usize,
    /// Requests due in that time.
    pub of: usize,
    /// The length of the counted time, in seconds: it is limited by what the generator remembers.
    pub counted_s: f64,
}

/// One second of all traffics together, for charts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Second {
    /// Its end, in seconds since the lab started.
    pub at: f64,
    /// The configured rate, in requests a second.
    pub offered: f64,
    /// Good responses.
    pub good: f64,
    /// Failed responses.
    pub failed: f64,
    /// The highest p50 of any traffic, in milliseconds.
    pub p50_ms: Option<f64>,
    /// The highest p99 of any traffic, in milliseconds.
    pub p99_ms: Option<f64>,
}

/// Above this share of its cores, a machine counts as at its limit.
const CPU_LIMIT: f64 = 0.95;
/// Above this share of its memory, a machine counts as about to run out.
const MEMORY_LIMIT: f64 = 0.9;

/// Derives a machine's condition from its figures. `last` is the reason from its last event, `ejected_by` are the
/// balancers that have ejected it.
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

/// Returns a machine's programs as the page shows them.
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
