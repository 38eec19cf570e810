//! Estimates what a run needs: processes, memory, requests, time, addresses and disk space. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::Pace;
use chapter::step::{Rate, Step};
use chapter::{Chapter, Traffic};
use lab::{Plan, Program};

/// Approximate memory of this computer that one program of the lab takes, including its share of socket
/// buffers.
const PROGRAM_BYTES: u64 = 32 << 20;
/// Approximate memory of the process that emulates a machine.
const MACHINE_BYTES: u64 = 6 << 20;
/// Approximate memory of labctl, which generates the load.
const LABCTL_BYTES: u64 = 64 << 20;
/// A line of `requests.csv`.
const REQUEST_BYTES: u64 = 72;
/// Logs, events and the summary of a run.
const RESULT_BYTES: u64 = 256 << 10;
/// The files of an empty database with its products.
const DATABASE_BYTES: u64 = 2 << 20;
/// Number of rates that a capacity search tries: minimum and maximum.
const PROBES: (u32, u32) = (6, 16);
/// Time that a step takes besides its measurement: waiting for answers, and verdicts.
const STEP: Duration = Duration::from_millis(100);
/// Time to start and to stop the lab.
const AROUND: Duration = Duration::from_secs(2);

/// Approximate needs of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Demand {
    /// The chapter.
    pub chapter: String,
    /// Number of emulated machines.
    pub machines: usize,
    /// Number of processes: one per machine, and one per program on it.
    pub processes: usize,
    /// Memory of this computer, in bytes. What machines hold is emulated and takes none.
    pub memory_bytes: u64,
    /// Peak requests per second, retries included.
    pub requests_per_second: f64,
    /// Total number of requests.
    pub requests: u64,
    /// Whether the run also searches for capacities, at rates that are not known in advance.
    pub searches: bool,
    /// Minimum duration in seconds: everything that the chapter waits for happens at once.
    pub seconds_min: f64,
    /// Maximum duration in seconds.
    pub seconds_max: f64,
    /// The loopback addresses that it uses, in order.
    pub addresses: Vec<IpAddr>,
    /// Number of ports that have to be free, each on one of these addresses.
    pub ports: usize,
    /// Disk space in bytes while it runs.
    pub disk_bytes: u64,
    /// Share of `disk_bytes` that is kept afterwards.
    pub kept_bytes: u64,
}

impl Demand {
    /// Estimates the needs of one chapter, deployed as the plan says.
    pub fn of(name: &str, chapter: &Chapter, plan: &Plan, pace: Pace) -> Self {
        let machines: Vec<_> = plan.machines.values().filter(|machine| !machine.elsewhere).collect();
        let programs = machines.iter().map(|machine| machine.programs.len()).sum::<usize>();
        let sockets = machines.iter().flat_map(|machine| &machine.programs).map(|program| program.address);
        let sockets: Vec<_> = sockets.collect();
        let databases = machines.iter().filter(|machine| machine.has(Program::Dbnode)).count() as u64;
        let story = Story::of(chapter, pace);
        let kept_bytes = RESULT_BYTES + story.requests as u64 * REQUEST_BYTES;
        Self {
            chapter: name.to_owned(),
            machines: machines.len(),
            processes: machines.len() + programs,
            memory_bytes: LABCTL_BYTES
                + machines.len() as u64 * MACHINE_BYTES
                + programs as u64 * PROGRAM_BYTES,
            requests_per_second: story.highest,
            requests: story.requests as u64,
            searches: story.searches,
            seconds_min: (AROUND + story.least).as_secs_f64(),
            seconds_max: (AROUND + story.most).as_secs_f64(),
            addresses: sockets
                .iter()
                .map(std::net::SocketAddr::ip)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            ports: sockets.len() + plan.links.len(),
            disk_bytes: kept_bytes + databases * DATABASE_BYTES,
            kept_bytes,
        }
    }

    /// Describes the demand line by line, as a label and an amount.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mib = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
        let more = if self.searches { ", and more while it searches for what servers can do" } else { "" };
        let addresses = match (self.addresses.first(), self.addresses.last()) {
            (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
            (first, _) => first.map_or("none".into(), ToString::to_string),
        };
        vec![
            (
                "processes",
                format!("{} ({} machines, and the programs on them)", self.processes, self.machines),
            ),
            ("memory", format!("about {}; what machines hold is emulated", mib(self.memory_bytes))),
            (
                "requests",
                format!("at most {:.0} a second, {} in all{more}", self.requests_per_second, self.requests),
            ),
            ("time", format!("{:.0} to {:.0} s", self.seconds_min.floor(), self.seconds_max.ceil())),
            ("addresses", format!("{addresses}: {} ports, nothing but loopback", self.ports)),
            (
                "disk",
                format!("about {} while it runs, {} are kept", mib(self.disk_bytes), mib(self.kept_bytes)),
            ),
        ]
    }
}

/// Totals over a chapter's steps.
#[derive(Debug, Default)]
struct Story {
    rates: HashMap<String, f64>,
    highest: f64,
    requests: f64,
    least: Duration,
    most: Duration,
    searches: bool,
}

impl Story {
    fn of(chapter: &Chapter, pace: Pace) -> Self {
        let mut story = Self::default();
        for step in &chapter.step {
            story.add(chapter, step, pace);
        }
        story
    }

    fn add(&mut self, chapter: &Chapter, step: &Step, pace: Pace) {
        let mut highest = HashMap::new();
        for (name, rate) in &step.load {
            let (most, last) = match *rate {
                Rate::Steady(rate) => (rate, rate),
                Rate::Ramp { from, to, .. } => (from.max(to), to),
            };
            highest.insert(name.as_ref().clone(), most);
            self.rates.insert(name.as_ref().clone(), last);
        }
        let attempts = |name: &str| chapter.traffic.get(name).map_or(1.0, attempts_of);
        let all = self.rates.iter().map(|(name, rate)| (name, highest.get(name).copied().unwrap_or(*rate)));
        let steady: Vec<_> = all.collect();
        let together = steady.iter().map(|(name, rate)| rate * attempts(name)).sum::<f64>();
        let asked = steady.iter().map(|(_, rate)| rate).sum::<f64>();
        let batches = step.send.values();
        // A batch goes out at its full rate, however briefly.
        let in_batches = batches.clone().map(|batch| batch.rate.min(batch.count as f64)).fold(0.0, f64::max);
        self.highest = self.highest.max(together + in_batches);
        let sending = batches.clone().map(|batch| batch.count as f64 / batch.rate).fold(0.0, f64::max);
        let counted = batches.map(|batch| batch.count as f64).sum::<f64>();
        let fixed = [step.warmup, step.measure.map(|measure| chapter::Span(pace.of(measure.0)))];
        let fixed = fixed.into_iter().flatten().map(|span| span.0).sum::<Duration>();
        let fixed = STEP + fixed + Duration::from_secs_f64(sending);
        let rolled = roll_of(chapter, step);
        let waits = step.until.as_ref().map_or(Duration::ZERO, |until| until.within.0);
        let probe = step.capacity.as_ref().map(|search| pace.of(search.probe.0));
        let (few, many) =
            probe.map_or((Duration::ZERO, Duration::ZERO), |probe| (probe * PROBES.0, probe * PROBES.1));
        self.searches |= probe.is_some();
        self.least += fixed + rolled + few;
        self.most += fixed + 2 * rolled + waits + many;
        // The awaited event is assumed to happen half-way through the limit.
        self.requests += counted + asked * (fixed + rolled + waits / 2).as_secs_f64();
    }
}

/// Maximum number of attempts for one request.
fn attempts_of(traffic: &Traffic) -> f64 {
    let times = traffic.retry.as_ref().and_then(|retry| retry.as_ref().times).unwrap_or(0);
    1.0 + f64::from(times)
}

/// Time to replace all machines of a kind.
fn roll_of(chapter: &Chapter, step: &Step) -> Duration {
    let rolls = step.acts().filter_map(|act| match act {
        chapter::Act::Roll { kind, install, .. } => {
            let count = chapter.machine.get(kind).and_then(|entry| entry.count).unwrap_or(1);
            Some((install.0 + Duration::from_secs(1)) * count)
        }
        _ => None,
    });
    rolls.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chapter::Source;
    use chapter::library;
    use lab::plan::Deployment;

    fn demand(name: &str, pace: Pace) -> Demand {
        let source = Source::open(name, &[]).unwrap();
        let plan = Plan::of(&source.chapter, Deployment::on_paper()).unwrap();
        Demand::of(name, &source.chapter, &plan, pace)
    }

    #[test]
    fn one_machine_asks_for_three_processes_and_at_most_140_requests_a_second() {
        let one = demand("one-machine", Pace::Normal);
        assert_eq!((one.machines, one.processes, one.ports), (1, 3, 2));
        assert_eq!(one.requests_per_second, 140.0);
        assert!(one.seconds_min > 14.0 && one.seconds_min < 20.0, "{one:?}");
        assert!(one.seconds_max > 44.0 && one.seconds_max < 50.0, "{one:?}");
        assert!(!one.searches && one.memory_bytes < 256 << 20, "{one:?}");
        let lines = one.lines();
        assert!(
            lines.iter().any(|(what, how)| *what == "requests" && how.starts_with("at most 140 a second"))
        );
    }

    #[test]
    fn whoever_asks_again_is_counted_as_often_as_it_may_ask() {
        let storm = demand("retry-storm", Pace::Normal);
        assert_eq!(storm.requests_per_second, 70.0 + 3.0 * 280.0);
    }

    #[test]
    fn a_search_says_that_nobody_knows_its_rates() {
        let servers = demand("more-servers", Pace::Normal);
        assert!(servers.searches && servers.lines().iter().any(|(_, how)| how.contains("searches")));
    }

    #[test]
    fn every_chapter_fits_a_small_computer() {
        for name in library::names() {
            for pace in [Pace::Quick, Pace::Normal, Pace::Full] {
                let demand = demand(name, pace);
                assert!(demand.memory_bytes < 3 << 30 && demand.disk_bytes < 200 << 20, "{demand:?}");
                assert!(demand.seconds_min > 2.0 && demand.seconds_min <= demand.seconds_max, "{demand:?}");
                assert!(demand.addresses.iter().all(IpAddr::is_loopback), "{demand:?}");
            }
            let (quick, full) = (demand(name, Pace::Quick), demand(name, Pace::Full));
            assert!(quick.seconds_min < full.seconds_min, "{name}");
        }
    }
}
