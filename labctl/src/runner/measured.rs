//! What a run has measured so far, for claims to ask.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use indexmap::IndexMap;
use machine::capacity::Usage;

use super::judges::{Figure, Histories};
use super::{owners, primaries};
use chapter::expression::Expression;
use chapter::measures::{self, Of};
use lab::{Events, Happening, Plan};
use load::{CacheMark, CapacityEstimate, Moment, Outcome, Recorder, StreamId, Window};

/// Everything measured in a run.
#[derive(Debug)]
pub struct Measured {
    recorder: Recorder,
    events: Events,
    streams: IndexMap<String, StreamId>,
    plan: Plan,
    steps: IndexMap<String, StepMeasurement>,
    /// What was done to the database's records.
    pub(super) histories: Histories,
}

/// What was measured in one step.
#[derive(Debug, Default)]
pub(super) struct StepMeasurement {
    /// When the step began, before it did anything.
    pub(super) begun: Moment,
    /// When its measurement began.
    pub(super) from: Moment,
    /// When it ended.
    pub(super) to: Moment,
    /// Whether what it waited for happened. True when it waited for nothing.
    pub(super) happened: bool,
    /// Machines' figures at the measurement's begin and end.
    pub(super) usage: HashMap<String, (Usage, Usage)>,
    /// Rates asked for at the end, by traffic.
    pub(super) final_rates: HashMap<String, f64>,
    /// What a search found, by traffic.
    pub(super) capacities: HashMap<String, CapacityEstimate>,
    /// The number read back.
    pub(super) value: Option<f64>,
    /// How many writes each database node had cut off its log, by machine.
    pub(super) discarded: HashMap<String, u64>,
    /// By how much counters grew, by the machine or program and the counter's name.
    pub(super) counted: HashMap<(String, String), f64>,
    /// Why it should not be trusted.
    pub(super) distrust: Option<String>,
    /// Why its times should not be trusted; its counts can be.
    pub(super) times_distrust: Option<String>,
}

/// Measures that say how long something took, or how often in a time.
const OF_TIME: [&str; 13] = [
    "hit_p50",
    "miss_p50",
    "slowest",
    "outage",
    "rate",
    "p50",
    "p99",
    "mean",
    "seconds",
    "utilisation",
    "detection",
    "capacity",
    "owners",
];

impl StepMeasurement {
    fn seconds(&self) -> f64 {
        self.to.saturating_sub(self.from).as_secs_f64()
    }
}

impl Measured {
    /// Nothing yet.
    pub(super) fn new(
        recorder: Recorder,
        events: Events,
        streams: IndexMap<String, StreamId>,
        plan: Plan,
        histories: Histories,
    ) -> Self {
        Self { recorder, events, streams, plan, steps: IndexMap::new(), histories }
    }

    pub(super) fn keep(&mut self, step: &str, measurement: StepMeasurement) {
        self.steps.insert(step.to_owned(), measurement);
    }

    /// When each step began, in seconds.
    pub(super) fn step_begins(&self) -> Vec<(String, f64)> {
        self.steps.iter().map(|(name, step)| (name.clone(), step.begun.as_secs_f64())).collect()
    }

    /// The lab has changed: machines were added or removed.
    pub(super) fn update_plan(&mut self, plan: Plan) {
        self.plan = plan;
    }

    /// The value of an expression, and why it is not known or should not be trusted, if so.
    pub(super) fn evaluate(&self, text: &str) -> (Option<f64>, Option<String>) {
        // Chapters are checked before they run.
        let Ok(expression) = Expression::parse(text) else { return (None, None) };
        let unknown = RefCell::new(None);
        let value = expression.value(&|name, of| {
            let figure = self.figure(name, of);
            figure.unwrap_or_else(|reason| {
                unknown.replace(Some(reason));
                None
            })
        });
        let distrust = expression.measures().into_iter().find_map(|(name, of)| {
            let step = self.steps.get(of.first()?)?;
            let of_time = step.times_distrust.as_ref().filter(|_| OF_TIME.contains(&name));
            step.distrust.as_ref().or(of_time).cloned()
        });
        (value, unknown.into_inner().or(distrust))
    }

    /// One traffic between two moments.
    pub(super) fn window(&self, traffic: Option<&String>, from: Moment, to: Moment) -> Option<Window> {
        let stream = match traffic {
            Some(name) => self.streams.get(name)?,
            None => self.streams.first()?.1,
        };
        Some(self.recorder.window(*stream, from, to))
    }

    /// One traffic between two moments, up to its first request that has no outcome yet.
    pub(super) fn known_window(&self, traffic: &str, from: Moment, to: Moment) -> Option<Window> {
        Some(self.recorder.known_window(*self.streams.get(traffic)?, from, to))
    }

    /// How late the generator was in all windows that were measured.
    pub(super) fn generator_lag_p99(&self) -> Duration {
        let (begin, end) = (Moment::ZERO, self.recorder.now());
        let windows = self.streams.values().map(|stream| self.recorder.window(*stream, begin, end));
        windows
            .filter(|window| window.requests() > 0)
            .map(|window| window.lag_p99())
            .max()
            .unwrap_or_default()
    }

    fn figure(&self, name: &str, of: &[String]) -> Figure {
        match (measures::find(name).map(|measure| measure.of), of) {
            (Some([Of::History]), [history, ..]) => self.histories.measure(name, history),
            _ => Ok(self.measure(name, of)),
        }
    }

    /// A figure that is known when there is something to show.
    fn measure(&self, name: &str, of: &[String]) -> Option<f64> {
        match name {
            "price" => return Some(self.plan.price_of(of.first()?)),
            "out_of_memory" => return Some(self.times_out_of_memory(of.first()?)),
            "primaries_of_a_term" => {
                return Some(primaries::of_one_term(&self.events.since(0), of.first()?) as f64);
            }
            "seconds_between_ends" => return self.seconds_between_ends(of.first()?, of.get(1)?),
            _ => {}
        }
        let step = self.steps.get(of.first()?)?;
        match name {
            "seconds" => Some(step.seconds()),
            "happened" => Some(f64::from(u8::from(step.happened))),
            "value" => step.value,
            "counted" => step.counted.get(&(of.get(1)?.clone(), of.get(2)?.clone())).copied(),
            "outage" => Some(self.window(of.get(1), step.begun, step.to)?.outage().as_secs_f64()),
            "capacity" => step.capacities.get(of.get(1)?).map(CapacityEstimate::rate),
            "utilisation" => self.utilisation(step, of.get(1)?),
            "final_rate" => {
                let first = self.streams.first()?.0;
                step.final_rates.get(of.get(1).unwrap_or(first)).copied()
            }
            "share" => Some(self.window(of.get(2), step.from, step.to)?.share(of.get(1)?)),
            "served" => {
                let served = self.window(of.get(2), step.from, step.to)?.served();
                Some(served.get(of.get(1)?.as_str()).copied().unwrap_or(0) as f64)
            }
            "detection" => {
                let mut ejections = self.ejections(step, of.get(1)?).into_iter();
                ejections.next().map(|(at, _)| at.saturating_sub(step.begun).as_secs_f64())
            }
            "false_ejections" => {
                let (ejections, victim) = (self.ejections(step, of.get(1)?), of.get(2)?);
                Some(ejections.iter().filter(|(_, upstream)| upstream != victim).count() as f64)
            }
            "silence" => Some(self.window(of.get(1), step.begun, step.to)?.silence().as_secs_f64()),
            "promotions" => {
                Some(primaries::promotions(&self.events.since(0), of.get(1)?, step.begun, step.to) as f64)
            }
            "discarded" => {
                let kind = of.get(1)?;
                let of_kind = step.discarded.iter().filter(|(machine, _)| primaries::is_of(machine, kind));
                Some(of_kind.map(|(_, discarded)| *discarded).reduce(|sum, more| sum + more)? as f64)
            }
            "owners" => Some(owners::at_most(&self.events.since(0), of.get(1)?, step.begun, step.to) as f64),
            "failed_throughout" | "ok_throughout" => {
                let (name, _) = name.split_once('_')?;
                of_window(name, &self.window(of.get(1), step.begun, step.to)?)
            }
            _ => of_window(name, &self.window(of.get(1), step.from, step.to)?),
        }
    }

    /// When a balancer took which servers out, from a step's begin to its end.
    fn ejections(&self, step: &StepMeasurement, of: &str) -> Vec<(Moment, String)> {
        let events = self.events.since(0).into_iter();
        let during = events.filter(|event| event.at >= step.begun && event.at <= step.to);
        let ejections = during.filter_map(|event| match event.what {
            Happening::Ejected { balancer, upstream } if balancer == of => Some((event.at, upstream)),
            _ => None,
        });
        ejections.collect()
    }

    fn utilisation(&self, step: &StepMeasurement, machine: &str) -> Option<f64> {
        let (before, after) = step.usage.get(machine)?;
        let cores = f64::from(self.plan.machines.get(machine)?.spec.cores);
        let seconds = step.seconds();
        Some((after.cpu_busy_seconds - before.cpu_busy_seconds) / (cores * seconds))
    }

    fn times_out_of_memory(&self, wanted: &str) -> f64 {
        let died =
            |what: &Happening| matches!(what, Happening::OutOfMemory { machine, .. } if machine == wanted);
        self.events.since(0).iter().filter(|event| died(&event.what)).count() as f64
    }

    fn seconds_between_ends(&self, one: &str, other: &str) -> Option<f64> {
        let events = self.events.since(0);
        let end_of = |wanted: &str| {
            let ended = |what: &Happening| matches!(what, Happening::ProgramEnded { program, .. } if program == wanted);
            events.iter().rev().find(|event| ended(&event.what)).map(|event| event.at.as_secs_f64())
        };
        Some((end_of(one)? - end_of(other)?).abs())
    }
}

fn of_window(name: &str, window: &Window) -> Option<f64> {
    let millis = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e3);
    if window.requests() == 0 {
        // Of nothing, nothing can be said: not even that none of it failed.
        return None;
    }
    let requests = window.requests() as f64;
    let marked = |mark| window.cache_marks().get(&mark).copied().unwrap_or(0) as f64;
    let counted = |outcomes: &[Outcome]| outcomes.iter().map(|one| window.count(*one)).sum::<usize>() as f64;
    Some(match name {
        "requests" => requests,
        "ok" => window.ok() as f64,
        "failed" => window.failed() as f64,
        "failed_share" => window.failed() as f64 / requests,
        "stale_share" => window.count(Outcome::Stale) as f64 / requests,
        "client_errors" => counted(&[Outcome::ClientError]),
        "server_errors" => counted(&[Outcome::ServerError, Outcome::Shed]),
        "hits" => marked(CacheMark::Hit),
        "misses" => marked(CacheMark::Miss),
        "bypassed" => marked(CacheMark::Bypass),
        "hit_p50" => millis(window.latencies_marked(CacheMark::Hit).percentile(50.0))?,
        "miss_p50" => millis(window.latencies_marked(CacheMark::Miss).percentile(50.0))?,
        "slowest" => millis(window.all_latencies().max())?,
        "rate" => window.rate(),
        "p50" => millis(window.percentile(50.0))?,
        "p99" => millis(window.percentile(99.0))?,
        "mean" => millis(window.latencies().mean())?,
        _ => return None,
    })
}
