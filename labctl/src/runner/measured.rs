//! Everything that a run has measured so far, for claims to query.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use indexmap::IndexMap;

use super::disk::{self, DiskWatch};
use super::host::HostWatch;
use super::{damage, owners, primaries};
use crate::testbed::Histories;
use chapter::expression::Expression;
use chapter::measures::{Measure, MeasureCall, Of, Unit};
use chapter::{Reading, kind};
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
    /// The histories of operations on the database's records.
    pub(super) histories: Histories,
    pub(super) host: HostWatch,
    /// Present only in a lab with a database.
    disk: Option<DiskWatch>,
}

/// The measurements of one step.
#[derive(Debug, Default, Clone)]
pub(super) struct StepMeasurement {
    /// When the step began, before it did anything.
    pub(super) begun: Moment,
    /// When its measurement began.
    pub(super) from: Moment,
    /// When its measurement ended.
    pub(super) to: Moment,
    /// Whether the step waited for something; then the wait is what was measured.
    pub(super) waited: bool,
    /// Whether the awaited event happened. True when the step waited for nothing.
    pub(super) happened: bool,
    /// How busy machines were while it was measured.
    pub(super) busy: HashMap<String, Busy>,
    /// Offered rate at the end, by traffic.
    pub(super) final_rates: HashMap<String, f64>,
    /// Result of a capacity search, by traffic.
    pub(super) capacities: HashMap<String, CapacityEstimate>,
    /// The value that was read back.
    pub(super) value: Option<f64>,
    /// Number of writes that each database node has truncated from its log, by machine.
    pub(super) discarded: HashMap<String, u64>,
    /// Growth of counters, by machine or program and counter name.
    pub(super) counted: HashMap<(String, String), f64>,
    /// What the host and the generator may have done to it.
    pub(super) reliability: Reliability,
}

/// What the host and the generator may have done to a measurement.
#[derive(Debug, Default, Clone)]
pub(super) struct Reliability {
    /// Why the whole measurement is unreliable.
    pub(super) distrust: Option<String>,
    /// Why its times may differ from those measured; counts are not affected.
    pub(super) doubt: Option<String>,
    /// Uncertainty of times that count from the step's beginning.
    pub(super) late: Duration,
    /// Uncertainty of times that count from the start of the measurement.
    pub(super) measured_late: Duration,
    /// How late machines granted work, where that exceeded the limit.
    pub(super) granted_late: Duration,
    /// Why the host may have caused a failure.
    pub(super) excuse: Option<String>,
    /// Every disturbance, however small.
    pub(super) disturbed: Vec<String>,
}

/// Work that a machine did between two of its status reports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Busy {
    pub(super) core_seconds: f64,
    pub(super) seconds: f64,
}

impl StepMeasurement {
    fn seconds(&self) -> f64 {
        self.to.saturating_sub(self.from).as_secs_f64()
    }

    /// A duration in seconds, with the step's uncertainty.
    fn time(&self, seconds: f64) -> Reading {
        Reading::give_or_take(seconds, self.reliability.late.as_secs_f64())
    }

    /// A figure per unit of time, with the measurement's uncertainty.
    fn per_time(&self, figure: f64) -> Reading {
        let share = self.reliability.measured_late.as_secs_f64() / self.seconds().max(f64::MIN_POSITIVE);
        Reading::give_or_take(figure, figure * share.min(1.0))
    }
}

/// Approximate number of thread wake-ups until a request is answered: in the generator, the balancer, a
/// server, its machine and its backends.
const HOPS: u32 = 10;
/// Number of these wake-ups that are assumed to be as late as the worst one, for the unluckiest answers.
const HOPS_AT_WORST: u32 = 2;

/// The result of an expression.
#[derive(Debug, Default)]
pub(super) struct Evaluated {
    /// The figure with its uncertainty. `None` if there was nothing to measure.
    pub(super) reading: Option<Reading>,
    /// Why the figure is unknown, or unreliable altogether.
    pub(super) distrust: Option<String>,
    /// The figures that it is composed of, named as in the expression, where there are several.
    pub(super) parts: Vec<(String, f64)>,
    /// Why the true value may differ from the figure.
    pub(super) doubt: Option<String>,
    /// The figure without what a busy host may have added to times, and the sign that the host was busy.
    pub(super) on_a_calm_host: Option<(Reading, String)>,
    /// Why the host may be the reason that the figure is not better.
    pub(super) excuse: Option<String>,
}

impl Measured {
    /// Creates an empty record.
    pub(super) fn new(
        recorder: Recorder,
        events: Events,
        streams: IndexMap<String, StreamId>,
        plan: Plan,
        histories: Histories,
        host: HostWatch,
        disk: Option<DiskWatch>,
    ) -> Self {
        Self { recorder, events, streams, plan, steps: IndexMap::new(), histories, host, disk }
    }

    pub(super) fn keep(&mut self, step: &str, measurement: StepMeasurement) {
        self.steps.insert(step.to_owned(), measurement);
    }

    /// Returns when each step began, in seconds.
    pub(super) fn step_begins(&self) -> Vec<(String, f64)> {
        self.steps.iter().map(|(name, step)| (name.clone(), step.begun.as_secs_f64())).collect()
    }

    /// Updates the plan after machines were added or removed.
    pub(super) fn update_plan(&mut self, plan: Plan) {
        self.plan = plan;
    }

    /// Describes everything that disturbed the measurements.
    pub(super) fn disturbances(&self) -> Vec<String> {
        let of_steps = self.steps.iter().flat_map(|(name, step)| {
            step.reliability.disturbed.iter().map(move |reason| format!("{name}: {reason}"))
        });
        let syncs = self.slow_syncs();
        let of_the_disk = syncs.iter().filter(|sync| disk::is_very_slow(sync)).map(disk::told);
        of_steps.chain(self.host.pauses().iter().map(damage::told)).chain(of_the_disk).collect()
    }

    /// Evaluates an expression. Measures that name no step cover everything so far.
    pub(super) fn evaluate(&self, text: &str) -> Evaluated {
        // Chapters are validated before they run.
        let Ok(expression) = Expression::<MeasureCall>::parse(text) else { return Evaluated::default() };
        let pauses = self.host.pauses();
        let steps: Vec<_> =
            expression.measures().into_iter().filter_map(|call| self.steps.get(call.step()?)).collect();
        let of_steps =
            |reason: &dyn Fn(&StepMeasurement) -> Option<String>| steps.iter().find_map(|step| reason(step));
        let distrust = of_steps(&|step| step.reliability.distrust.clone());
        let doubt = of_steps(&|step| step.reliability.doubt.clone());
        let of_all = || {
            let is_of_all = expression.measures().iter().any(|call| call.step().is_none());
            damage::excuse(&pauses, Moment::ZERO, self.recorder.now()).filter(|_| is_of_all)
        };
        let excuse = of_steps(&|step| {
            step.reliability.excuse.clone().or_else(|| damage::excuse(&pauses, step.begun, step.to))
        });
        let excuse = excuse.or_else(of_all).or_else(|| self.excuse_of_the_disk(&steps));
        let on_a_calm_host = expression.value(&|call| self.figure_on_a_calm_host(call)).ok().flatten();
        let on_a_calm_host = on_a_calm_host.zip(self.unrest(&steps));
        match expression.value(&|call| self.figure(call)) {
            Ok(reading) => {
                Evaluated { reading, parts: self.parts(&expression), distrust, doubt, on_a_calm_host, excuse }
            }
            Err(unknown) => Evaluated { distrust: Some(unknown), ..Evaluated::default() },
        }
    }

    /// Explains why times in these steps may be longer than on an otherwise idle computer, if they may.
    fn unrest(&self, steps: &[&StepMeasurement]) -> Option<String> {
        let syncs = self.slow_syncs();
        let slow = steps.iter().filter_map(|step| disk::longest(&syncs, step.begun, step.to));
        if let Some(sync) = slow.max_by_key(|sync| sync.end - sync.start) {
            return Some(disk::told(sync));
        }
        let late = steps.iter().map(|step| self.host.wakes_late(step.begun, step.to)).max()?;
        (!late.is_zero()).then(|| format!("the computer was busy, and its threads woke up {late:.1?} late"))
    }

    /// Explains why the disk may have caused a failure in these steps, if it may have.
    fn excuse_of_the_disk(&self, steps: &[&StepMeasurement]) -> Option<String> {
        let syncs = self.slow_syncs();
        let of_steps = steps.iter().filter_map(|step| disk::longest(&syncs, step.begun, step.to));
        of_steps.filter(|sync| disk::is_very_slow(sync)).map(disk::told).next()
    }

    fn slow_syncs(&self) -> Vec<Range<Moment>> {
        self.disk.as_ref().map(DiskWatch::slow_syncs).unwrap_or_default()
    }

    /// Returns the figures that an expression of more than one measure is composed of, each named once.
    fn parts(&self, expression: &Expression<MeasureCall>) -> Vec<(String, f64)> {
        let mut parts: Vec<(String, f64)> = Vec::new();
        if matches!(expression, Expression::Measure(_)) {
            return parts;
        }
        for call in expression.measures() {
            let Ok(Some(reading)) = self.figure(call) else { continue };
            let name = call.to_string();
            if reading.figure.is_finite() && !parts.iter().any(|(other, _)| *other == name) {
                parts.push((name, reading.figure));
            }
        }
        parts
    }

    /// Returns the width of a measure's uncertainty, as a share of its figure.
    pub(super) fn blur(&self, call: &MeasureCall) -> f64 {
        self.figure(call).ok().flatten().map_or(0.0, Reading::blur)
    }

    /// Returns one traffic's window between two moments.
    pub(super) fn window(&self, traffic: Option<&str>, from: Moment, to: Moment) -> Option<Window> {
        let stream = match traffic {
            Some(name) => self.streams.get(name)?,
            None => self.streams.first()?.1,
        };
        Some(self.recorder.window(*stream, from, to))
    }

    /// Returns one traffic's window between two moments, up to its first request that has no outcome yet.
    pub(super) fn known_window(&self, traffic: &str, from: Moment, to: Moment) -> Option<Window> {
        Some(self.recorder.known_window(*self.streams.get(traffic)?, from, to))
    }

    /// Returns how late the generator was (p99), at worst over all traffics.
    pub(super) fn generator_lag_p99(&self) -> Duration {
        let (begin, end) = (Moment::ZERO, self.recorder.now());
        let windows = self.streams.values().map(|stream| self.recorder.window(*stream, begin, end));
        windows
            .filter(|window| window.requests() > 0)
            .map(|window| window.lag_p99())
            .max()
            .unwrap_or_default()
    }

    /// Returns a measure's figure. `None` if there was nothing to measure; `Err` gives the reason why it is
    /// unknown.
    fn figure(&self, call: &MeasureCall) -> Result<Option<Reading>, String> {
        if let Some(history) = call.named(Of::History) {
            return Ok(self.histories.measure(call.measure, history)?.map(Reading::exact));
        }
        let of_none = StepMeasurement::default();
        let step = match call.step() {
            Some(step) => self.steps.get(step),
            None => Some(&of_none),
        };
        Ok(step.and_then(|step| self.reading(call, step)))
    }

    /// Returns the figure as if no thread and no disk had been late: each time may be shorter by a handful of
    /// thread delays plus one sync.
    fn figure_on_a_calm_host(&self, call: &MeasureCall) -> Result<Option<Reading>, String> {
        let figure = self.figure(call)?;
        let Some(step) = call.step().and_then(|step| self.steps.get(step)) else { return Ok(figure) };
        let syncs = self.slow_syncs();
        let sync = disk::longest(&syncs, step.begun, step.to).map(|sync| sync.end - sync.start);
        let often = HOPS * self.host.wakes_late(step.begun, step.to);
        let once = match call.measure {
            // One late answer changes neither the median nor, by much, the mean.
            Measure::P50 | Measure::HitP50 | Measure::MissP50 | Measure::Mean => Duration::ZERO,
            _ => HOPS_AT_WORST * self.host.wakes_latest(step.begun, step.to),
        };
        let late = often.max(once) + sync.unwrap_or_default();
        let by = match call.measure.description().unit {
            Unit::Millis => late.as_secs_f64() * 1e3,
            Unit::Seconds => late.as_secs_f64(),
            _ => 0.0,
        };
        Ok(figure.map(|reading| Reading { low: (reading.low - by).max(0.0), ..reading }))
    }

    /// Returns a figure that is not about a history. The match is exhaustive, so the compiler finds a missing
    /// measure.
    fn reading(&self, call: &MeasureCall, step: &StepMeasurement) -> Option<Reading> {
        use Measure as M;
        let during = |figure: &dyn Fn(&Window) -> f64| self.count(call, step.from..step.to, figure);
        let throughout = |figure: &dyn Fn(&Window) -> f64| self.count(call, step.begun..step.to, figure);
        let time = |figure: &dyn Fn(&Window) -> Option<Duration>| self.time(call, step, figure);
        let requests = |window: &Window| window.requests() as f64;
        let marked = |mark: CacheMark| {
            move |window: &Window| window.cache_marks().get(&mark).copied().unwrap_or(0) as f64
        };
        match call.measure {
            M::Requests => during(&requests),
            M::Ok => during(&|window| window.ok() as f64),
            M::Failed => during(&|window| window.failed() as f64),
            M::FailedShare => during(&Window::error_rate),
            M::Attempts => during(&|window| window.attempts() as f64),
            M::Amplification => during(&Window::amplification),
            M::FailedThroughout => throughout(&|window| window.failed() as f64),
            M::OkThroughout => throughout(&|window| window.ok() as f64),
            M::StaleShare => during(&|window| window.count(Outcome::Stale) as f64 / requests(window)),
            M::ClientErrors => during(&|window| window.count(Outcome::ClientError) as f64),
            M::ServerErrors => {
                during(&|window| (window.count(Outcome::ServerError) + window.count(Outcome::Shed)) as f64)
            }
            M::Hits => during(&marked(CacheMark::Hit)),
            M::Misses => during(&marked(CacheMark::Miss)),
            M::Bypassed => during(&marked(CacheMark::Bypass)),
            M::HitP50 => time(&|window| window.latencies_marked(CacheMark::Hit).percentile(50.0)),
            M::MissP50 => time(&|window| window.latencies_marked(CacheMark::Miss).percentile(50.0)),
            M::Slowest => time(&|window| window.all_latencies().max()),
            M::P50 => time(&|window| window.percentile(50.0)),
            M::P99 => time(&|window| window.percentile(99.0)),
            M::Mean => time(&|window| window.latencies().mean()),
            M::Rate => Some(step.per_time(during(&Window::rate)?.figure)),
            M::Goodput => Some(step.per_time(during(&Window::goodput)?.figure)),
            M::Outage => {
                let window = self.window(call.traffic(), step.begun, step.to)?;
                Some(step.time(window.outage().as_secs_f64()))
            }
            M::Silence => {
                let window = self.window(call.traffic(), step.begun, step.to)?;
                let reading = step.time(window.silence().as_secs_f64());
                // Whether the next answer would have come in time was not seen.
                Some(if window.ends_in_silence() {
                    Reading { high: f64::INFINITY, ..reading }
                } else {
                    reading
                })
            }
            M::FinalRate => {
                let first = self.streams.first()?.0;
                step.final_rates.get(call.traffic().unwrap_or(first.as_str())).copied().map(Reading::exact)
            }
            M::ShareOf => {
                let window = self.window(call.traffic(), step.from, step.to)?;
                // A share of no answers is not 0.
                let share = window.share(call.of.get(1)?);
                (!window.served().is_empty()).then(|| Reading::exact(share))
            }
            M::Served => {
                let served = self.window(call.traffic(), step.from, step.to)?.served();
                let count = served.get(call.of.get(1)?.as_str()).copied().unwrap_or(0);
                Some(Reading::exact(count as f64))
            }
            M::Owners => {
                let most = owners::at_most(&self.events.since(0), call.of.get(1)?, step.begun, step.to);
                Some(Reading::exact(most as f64))
            }
            M::Detection => {
                let (at, _) = self.ejections(step, call.of.get(1)?).into_iter().next()?;
                Some(step.time(at.saturating_sub(step.begun).as_secs_f64()))
            }
            M::FalseEjections => {
                let (ejections, victim) = (self.ejections(step, call.of.get(1)?), call.of.get(2)?);
                let others = ejections.iter().filter(|(_, upstream)| upstream != victim).count();
                Some(Reading::exact(others as f64))
            }
            M::Seconds if step.waited => Some(step.time(step.seconds())),
            // A fixed measurement ends on schedule.
            M::Seconds => Some(Reading::exact(step.seconds())),
            M::Happened => Some(Reading::exact(f64::from(u8::from(step.happened)))),
            M::Promotions => {
                let (kind, events) = (call.of.get(1)?, self.events.since(0));
                Some(Reading::exact(primaries::promotions(&events, kind, step.begun, step.to) as f64))
            }
            M::Discarded => {
                let kind = call.of.get(1)?;
                let of_kind = step.discarded.iter().filter(|(machine, _)| kind::is_of(machine, kind));
                let sum = of_kind.map(|(_, discarded)| *discarded).reduce(|sum, more| sum + more)?;
                Some(Reading::exact(sum as f64))
            }
            M::Utilisation => {
                let (figure, host) = (self.utilisation(step, call.of.get(1)?)?, self.host.pauses());
                let paused = damage::paused(&host, step.from, step.to).as_secs_f64();
                Some(Reading::give_or_take(figure, figure * (paused / step.seconds()).min(1.0)))
            }
            M::Capacity => Some(Reading::exact(step.capacities.get(call.of.get(1)?)?.rate())),
            M::Counted => {
                let counter = (call.of.get(1)?.clone(), call.of.get(2)?.clone());
                step.counted.get(&counter).copied().map(Reading::exact)
            }
            M::Value => step.value.map(Reading::exact),
            M::Price => Some(Reading::exact(self.plan.price_of(call.of.first()?))),
            M::OutOfMemory => Some(Reading::exact(self.times_out_of_memory(call.of.first()?))),
            M::PrimariesOfATerm => {
                let events = self.events.since(0);
                Some(Reading::exact(primaries::of_one_term(&events, call.of.first()?) as f64))
            }
            M::SecondsBetweenEnds => {
                self.seconds_between_ends(call.of.first()?, call.of.get(1)?).map(Reading::exact)
            }
            // These are about a history.
            M::StaleReads
            | M::StaleMsMax
            | M::ReadsJudged
            | M::WritesAcknowledged
            | M::WritesRefused
            | M::LostWrites
            | M::GhostWrites
            | M::Inversions
            | M::OwnWritesMissed
            | M::ReadsBack
            | M::Linearizable
            | M::LinearizableLatest => None,
        }
    }

    /// Returns a figure that does not depend on exact send times. Without requests nothing can be said, not
    /// even that none failed. Where some requests could not be sent, a count may be higher in proportion; a
    /// share is unaffected.
    fn count(
        &self,
        call: &MeasureCall,
        during: Range<Moment>,
        figure: &dyn Fn(&Window) -> f64,
    ) -> Option<Reading> {
        let window = self.window(call.traffic(), during.start, during.end)?;
        let (figure, sent) = (figure(&window), window.requests() as f64);
        let all = match call.measure.description().unit {
            Unit::Count => figure * (sent + window.unsent() as f64) / sent,
            _ => figure,
        };
        (window.requests() > 0).then(|| Reading::between(figure, all))
    }

    /// Returns how long requests took, in milliseconds: as measured, and as it would have been without the
    /// delays that are known to have held them up.
    fn time(
        &self,
        call: &MeasureCall,
        step: &StepMeasurement,
        figure: &dyn Fn(&Window) -> Option<Duration>,
    ) -> Option<Reading> {
        let window = self.window(call.traffic(), step.from, step.to)?;
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let measured = figure(&window)?;
        let pauses = self.host.pauses();
        let is_paused = damage::excuse(&pauses, step.begun, step.to).is_some();
        if window.late(Duration::ZERO).is_none() && !is_paused && step.reliability.granted_late.is_zero() {
            return Some(Reading::exact(millis(measured)));
        }
        let on_time = figure(&window.as_if_on_time(&pauses)).unwrap_or(measured);
        Some(Reading::between(
            millis(measured),
            millis(on_time.saturating_sub(step.reliability.granted_late)),
        ))
    }

    /// Returns when a balancer ejected which servers, from the step's beginning to its end.
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
        let Busy { core_seconds, seconds } = step.busy.get(machine)?;
        let cores = f64::from(self.plan.machines.get(machine)?.spec.cores);
        Some(core_seconds / (cores * seconds))
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
