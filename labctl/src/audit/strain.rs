//! Decides whether what is left can carry the load, once nothing fails any more: from the machines' usage and
//! from how long answers take. Pure.
//!
//! ```text
//! quiet, no machine busy, latencies not rising ───────> level
//! quiet, demand on a machine above its capacity ──────> overloaded
//! quiet, and too early to tell ───────────────────────> observed longer, finally decided by the best estimate
//! ```
//!
//! A growing queue takes long to cause failures: at 1.3 times a machine's capacity, a timeout of two seconds
//! is reached after seven. The work demanded of a machine is known much sooner.
#![deny(clippy::disallowed_methods)]

use std::time::Duration;

use indexmap::IndexMap;
use machine::MachineSpec;
use machine::capacity::Usage;
use serde::{Deserialize, Serialize};

use load::{CacheMark, Moment, Window};

/// A machine with less utilisation than this is not busy; two seconds suffice to decide.
const IDLE: f64 = 0.75;
/// With four seconds of observation, a machine can sustain less than this, …
const BEARABLE: f64 = 0.92;
/// … and cannot sustain more than this.
const UNBEARABLE: f64 = 1.05;
/// Minimum observation of a busy machine before either verdict.
const BUSY_FOR: Duration = Duration::from_secs(4);
/// With a demand this far above capacity …
const FAR_TOO_MUCH: f64 = 1.15;
/// … the verdict is possible sooner.
const FAR_TOO_MUCH_FOR: Duration = Duration::from_millis(2400);
/// A queue counts as grown when it is longer by this many jobs.
const GROWN: f64 = 2.0;
/// Minimum observation for any verdict.
const QUIET_FOR: Duration = Duration::from_millis(1500);
/// Bounds of the correction for the random number of requests.
const LUCK: [f64; 2] = [0.6, 1.6];
/// Latencies that rise to this multiple …
const RISE: f64 = 1.3;
/// … and by at least this much count as rising.
const RISE_BY: Duration = Duration::from_millis(50);

/// The machines' usage at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When it was read.
    pub at: Moment,
    /// Usage by machine; one that does not answer is absent.
    pub machines: IndexMap<String, Usage>,
}

/// The demand on what is left exceeds its capacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overload {
    /// The overloaded machine; `None` if only rising latencies show the overload.
    pub machine: Option<String>,
    /// Demand as a multiple of its capacity.
    pub times: f64,
    /// Growth of its queue, in requests per second.
    pub grows_by: f64,
    /// Waiting time of the last request in its queue, in seconds.
    pub wait_seconds: f64,
}

/// The verdict while nothing fails.
#[derive(Debug, Clone, PartialEq)]
pub enum Level {
    /// No queue grows.
    Level,
    /// A queue grows without bound.
    Overloaded(Overload),
    /// Too early to tell.
    NotYet,
}

/// One path, as observed for overload.
#[derive(Debug, Clone, Copy)]
pub struct PathSeen<'a> {
    /// Before the fault.
    pub calm: &'a Window,
    /// Since the last failure.
    pub quiet: &'a Window,
}

/// Decides whether there is overload since the last failure. `rate` is the rate of each path, in requests per
/// second; with `last` there will be no further observation.
pub fn level(
    specs: &IndexMap<String, MachineSpec>,
    readings: &[Reading],
    paths: &[PathSeen<'_>],
    rate: f64,
    last: bool,
) -> Level {
    let Some(quiet) = paths.iter().map(|path| (path.quiet.from, path.quiet.to)).next() else {
        return Level::Level;
    };
    let inside = |reading: &&Reading| reading.at >= quiet.0 && reading.at <= quiet.1;
    let (first, now) = (readings.iter().find(inside), readings.iter().rfind(inside));
    let (Some(first), Some(now)) = (first, now) else { return Level::NotYet };
    let seconds = now.at.saturating_sub(first.at);
    if seconds < QUIET_FOR {
        return Level::NotYet;
    }
    let luck = luck(paths, rate, first.at, now.at);
    let worst = specs.iter().filter_map(|(name, spec)| {
        let (first, now) = (first.machines.get(name)?, now.machines.get(name)?);
        strain(name, spec, first, now, seconds.as_secs_f64(), luck)
    });
    let worst = worst.max_by(|one, other| one.times.total_cmp(&other.times));
    let rising = paths.iter().any(|path| is_rising(path));
    let times = worst.as_ref().map_or(0.0, |worst| worst.times);
    // A disk with group commit may be busy all the time without delaying anyone.
    let grows = worst.as_ref().is_some_and(|worst| worst.grows_by * seconds.as_secs_f64() >= GROWN);
    let limit = if last { 1.0 } else { UNBEARABLE };
    match worst {
        _ if times < IDLE && !rising => Level::Level,
        _ if times < BEARABLE && !rising && seconds >= BUSY_FOR => Level::Level,
        Some(worst) if times >= limit && grows && seconds >= BUSY_FOR => Level::Overloaded(worst),
        Some(worst) if times >= FAR_TOO_MUCH && grows && seconds >= FAR_TOO_MUCH_FOR => {
            Level::Overloaded(worst)
        }
        // No known machine is what delays them.
        _ if last && rising && times < IDLE => Level::Overloaded(endless(paths)),
        _ if last => Level::Level,
        _ => Level::NotYet,
    }
}

/// Computes the demand on a machine. `None` if it was restarted meanwhile.
fn strain(
    name: &str,
    spec: &MachineSpec,
    first: &Usage,
    now: &Usage,
    seconds: f64,
    luck: f64,
) -> Option<Overload> {
    let cores = f64::from(spec.cores);
    let usable = cores / (1.0 + spec.exclusive * (cores - 1.0));
    let worked = now.cpu_busy_seconds - first.cpu_busy_seconds;
    let cpu = (worked + now.cpu_waiting_seconds - first.cpu_waiting_seconds) / usable;
    // The disk's counter includes accepted work that is not done yet.
    let disk = now.disk_busy_seconds - first.disk_busy_seconds;
    if worked < 0.0 || disk < 0.0 {
        return None;
    }
    let waiting = |usage: &Usage| (usage.cpu_waiting + usage.disk_waiting) as f64;
    let for_the_disk = now.disk_waiting as f64 * spec.disk_operation().as_secs_f64();
    Some(Overload {
        machine: Some(name.to_owned()),
        times: cpu.max(disk) / seconds / luck,
        grows_by: (waiting(now) - waiting(first)) / seconds,
        wait_seconds: (now.cpu_waiting_seconds / usable).max(for_the_disk),
    })
}

/// Returns the ratio of the work that arrived to the expected amount. Requests arrive at random, and the cost
/// of one is estimated by its path's median latency.
fn luck(paths: &[PathSeen<'_>], rate: f64, from: Moment, to: Moment) -> f64 {
    let seconds = to.saturating_sub(from).as_secs_f64();
    let (mut came, mut usual) = (0.0, 0.0);
    for path in paths {
        let cost = path.calm.percentile(50.0).unwrap_or_default().as_secs_f64().max(1e-3);
        let inside =
            path.quiet.samples().iter().filter(|sample| sample.intended >= from && sample.intended < to);
        // Unfinished requests are the most recent ones.
        came += cost * (inside.count() + path.quiet.unfinished) as f64;
        usual += cost * rate * seconds;
    }
    if usual > 0.0 { (came / usual).clamp(LUCK[0], LUCK[1]) } else { 1.0 }
}

/// Returns whether a path's latencies keep rising: each third of the window is slower than the one before,
/// and the last is slower than before the fault.
fn is_rising(path: &PathSeen<'_>) -> bool {
    let samples: Vec<_> = path.quiet.samples().iter().filter(|sample| sample.outcome.is_success()).collect();
    if samples.len() < 12 {
        return false;
    }
    let thirds = samples.chunks(samples.len().div_ceil(3)).map(|third| {
        let mut latencies: Vec<_> = third.iter().map(|sample| sample.latency).collect();
        latencies.sort_unstable();
        latencies[latencies.len() / 2]
    });
    let thirds: Vec<_> = thirds.collect();
    let longer = |one: Duration, other: Duration| other > one.mul_f64(RISE) && other > one + RISE_BY;
    let calm = path.calm.percentile(50.0).unwrap_or_default();
    thirds.windows(2).all(|pair| longer(pair[0], pair[1])) && longer(calm, thirds[thirds.len() - 1])
}

/// Describes an overload of unknown location: more and more requests wait.
fn endless(paths: &[PathSeen<'_>]) -> Overload {
    let slowest =
        paths.iter().filter_map(|path| path.quiet.samples().last()).map(|sample| sample.latency).max();
    let waiting: usize = paths.iter().map(|path| path.quiet.unfinished).sum();
    let seconds = paths
        .first()
        .map_or(1.0, |path| path.quiet.to.saturating_sub(path.quiet.from).as_secs_f64().max(1.0));
    Overload {
        machine: None,
        times: 1.0,
        grows_by: waiting as f64 / seconds,
        wait_seconds: slowest.unwrap_or_default().as_secs_f64(),
    }
}

/// Returns whether an overload affects a path: its latency has grown by a substantial part of the queueing
/// delay.
pub fn is_hit(overload: &Overload, calm: &Window, end: &Window) -> bool {
    let median = |window: &Window| window.percentile(50.0).unwrap_or_default();
    let slower = median(end).saturating_sub(median(calm));
    let waits = Duration::try_from_secs_f64(overload.wait_seconds / 3.0).unwrap_or_default();
    slower >= waits.max(RISE_BY) || end.ok() == 0
}

/// Returns whether all of a path's answers since the fault came from cached copies, so that the state behind
/// them is unknown.
pub fn lives_on_copies(window: &Window) -> bool {
    let marks = window.cache_marks();
    let count = |mark: CacheMark| marks.get(&mark).copied().unwrap_or(0);
    let copies = count(CacheMark::Hit) + count(CacheMark::Stale);
    copies > 0 && copies == window.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use load::{Outcome, Sample, StreamId};

    const MS: Duration = Duration::from_millis(1);

    /// Requests evenly spaced at ten per second over an interval in seconds; `latency` maps each moment to a
    /// latency.
    fn window(from: f64, to: f64, latency: impl Fn(f64) -> f64) -> Window {
        let count = ((to - from) * 10.0).round() as usize;
        let samples = (0..count).map(|index| {
            let at = from + index as f64 / 10.0;
            Sample {
                stream: StreamId::default(),
                intended: Duration::from_secs_f64(at),
                lag: Duration::ZERO,
                latency: Duration::from_secs_f64(latency(at)),
                outcome: Outcome::Ok,
                status: 200,
                served_by: None,
                cache: CacheMark::None,
                attempts: 1,
            }
        });
        Window::new(Duration::from_secs_f64(from), Duration::from_secs_f64(to), samples.collect(), 0)
    }

    /// Readings, twice per second, of a machine with the demand `asked` on one core: it works as much as it
    /// can, and the rest queues.
    fn readings(to: f64, asked: f64) -> Vec<Reading> {
        let reading = |index: u32| {
            let at = f64::from(index) / 2.0;
            let waiting = at * (asked - 1.0).max(0.0);
            let usage = Usage {
                cpu_busy_seconds: at * asked.min(1.0),
                cpu_waiting: (waiting / 0.13) as usize,
                cpu_waiting_seconds: waiting,
                disk_busy_seconds: 0.0,
                disk_waiting: 0,
                disk_full: false,
                memory_held: 0,
                memory_limit: 1,
                page_hits: 0,
                page_misses: 0,
            };
            Reading { at: Duration::from_secs_f64(at), machines: [("web-2".to_owned(), usage)].into() }
        };
        (0..=(to * 2.0) as u32).map(reading).collect()
    }

    fn said(to: f64, asked: f64, latency: impl Fn(f64) -> f64, last: bool) -> Level {
        let specs = [("web-2".to_owned(), MachineSpec::default())].into();
        let (calm, quiet) = (window(0.0, 2.0, |_| 0.13), window(0.0, to, latency));
        level(&specs, &readings(to, asked), &[PathSeen { calm: &calm, quiet: &quiet }], 10.0, last)
    }

    #[test]
    fn what_is_hardly_asked_for_anything_is_level_at_once() {
        assert_eq!(said(2.0, 0.4, |_| 0.13, false), Level::Level);
        assert_eq!(said(1.0, 0.4, |_| 0.13, false), Level::NotYet, "one second says nothing");
    }

    #[test]
    fn what_is_busy_is_looked_at_for_longer() {
        assert_eq!(said(2.0, 0.85, |_| 0.13, false), Level::NotYet);
        assert_eq!(said(4.5, 0.85, |_| 0.13, false), Level::Level);
    }

    #[test]
    fn a_queue_that_grows_is_known_long_before_anybody_is_failed() {
        let Level::Overloaded(overload) = said(4.5, 1.3, |at| 0.13 + 0.3 * at, false) else {
            panic!("1.3 times what it can do is too much");
        };
        assert_eq!(overload.machine.as_deref(), Some("web-2"));
        assert!((overload.times - 1.3).abs() < 0.05, "{overload:?}");
        assert!((overload.grows_by - 0.3 / 0.13).abs() < 0.3, "{overload:?}");
        assert!(is_hit(&overload, &window(0.0, 2.0, |_| 0.13), &window(2.5, 4.5, |at| 0.13 + 0.3 * at)));
        assert!(!is_hit(&overload, &window(0.0, 2.0, |_| 0.01), &window(2.5, 4.5, |_| 0.01)));
    }

    #[test]
    fn what_is_far_too_much_is_known_sooner() {
        assert!(matches!(said(3.0, 1.3, |at| 0.13 + 0.3 * at, false), Level::Overloaded(_)));
        assert_eq!(said(3.0, 1.1, |at| 0.13 + 0.1 * at, false), Level::NotYet);
    }

    #[test]
    fn what_is_about_as_much_as_it_can_do_is_said_in_the_end() {
        assert_eq!(said(6.0, 1.03, |at| 0.13 + 0.03 * at, false), Level::NotYet);
        assert!(matches!(said(12.0, 1.03, |at| 0.13 + 0.03 * at, true), Level::Overloaded(_)));
        assert_eq!(said(12.0, 0.97, |_| 0.3, true), Level::Level);
    }

    #[test]
    fn answers_that_take_longer_and_longer_where_no_machine_is_busy_tell_too() {
        let rises = |at: f64| 0.13 + 0.15 * at;
        assert_eq!(said(4.5, 0.2, rises, false), Level::NotYet);
        let Level::Overloaded(overload) = said(8.0, 0.2, rises, true) else { panic!("they rise") };
        assert_eq!(overload.machine, None);
    }

    #[test]
    fn more_requests_than_usual_are_no_overload() {
        // By chance half as many requests again arrived, and the machine served them.
        let specs = [("web-2".to_owned(), MachineSpec::default())].into();
        let calm = window(0.0, 2.0, |_| 0.13);
        let twice = Window::joined(
            Duration::ZERO,
            Duration::from_millis(4500),
            vec![window(0.0, 4.5, |_| 0.2), window(0.0, 2.2, |_| 0.2)],
        );
        let seen = [PathSeen { calm: &calm, quiet: &twice }];
        assert_eq!(level(&specs, &readings(4.5, 1.2), &seen, 10.0, false), Level::Level);
    }

    #[test]
    fn a_path_that_is_given_copies_alone_lives_on_them() {
        let marked = |marks: &[CacheMark]| {
            let sample =
                |mark: &CacheMark| Sample { cache: *mark, ..window(0.0, 0.1, |_| 0.01).samples()[0].clone() };
            lives_on_copies(&Window::new(Duration::ZERO, 100 * MS, marks.iter().map(sample).collect(), 0))
        };
        assert!(marked(&[CacheMark::Hit, CacheMark::Stale]));
        assert!(!marked(&[CacheMark::Hit, CacheMark::Miss]) && !marked(&[]) && !marked(&[CacheMark::None]));
    }
}
