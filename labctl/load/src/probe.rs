//! Measures a capacity: the highest rate that meets an objective.
//!
//! The probes' arrivals are evenly spaced, so that a short probe measures the machine and not the luck of the
//! draw. What randomness does to queues below the limit is the subject of another chapter.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio::time::{Instant, sleep};

use super::{
    Arrivals, CapacityEstimate, Generator, InvalidRequests, Moment, Rate, Search, Stream, StreamId, Trial,
    Window,
};

/// Rates outside of this range are not tried.
const RATE_MIN: f64 = 5.0;
const RATE_MAX: f64 = 20_000.0;
/// A higher share of failed requests misses the objective, whatever the latency.
const ERRORS_MAX: f64 = 0.001;
/// The first part of a probe, which is not judged.
const WARMUP: Duration = Duration::from_millis(500);
/// Interval at which a probe checks whether it is hopeless.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The most probes of a search that are repeated because the load generator fell behind.
const AGAIN_MAX: u32 = 3;

/// The requests of a traffic cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("traffic '{name}': {source}")]
pub struct InvalidTraffic {
    /// The traffic's name.
    name: String,
    source: InvalidRequests,
}

/// The capacity of a target, and the reason to distrust it, if any.
pub type Found = (CapacityEstimate, Option<String>);

/// The objective that a rate has to meet.
#[derive(Debug, Clone)]
pub struct Objective {
    /// The longest p99 latency.
    pub p99: Duration,
    /// The length of a probe.
    pub probe: Duration,
    /// The precision of the result, as a share of it.
    pub precision: f64,
    /// The factor by which the rate goes up or down until the capacity is bracketed.
    pub stride: f64,
    /// A rate that is known to be too high.
    pub too_much: Option<f64>,
    /// The number of consecutive misses that rules a rate out: a host that was busy for a moment misses once.
    pub misses: u32,
}

impl Objective {
    /// Creates an objective with the usual precision.
    pub fn new(p99: Duration, probe: Duration) -> Self {
        Self { p99, probe, precision: Search::PRECISION, stride: 2.0, too_much: None, misses: 1 }
    }
}

/// The result of trying a rate.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Tried {
    /// True if it met the objective.
    pub met: bool,
    /// The p99 latency. In JSON, in milliseconds.
    #[serde(rename = "p99_ms", serialize_with = "as_millis")]
    #[schemars(with = "f64")]
    pub p99: Duration,
    /// Requests that failed.
    pub failed: usize,
    /// The reason to distrust the result, if any.
    pub distrust: Option<String>,
}

fn as_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64() * 1e3)
}

impl fmt::Display for Tried {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.met { "good" } else { "too much" };
        write!(formatter, "{verdict} (p99 {:.0} ms, {} failed)", self.p99.as_secs_f64() * 1e3, self.failed)
    }
}

/// Finds the highest rate that meets an objective. The rate is the total of a mix of streams, each with its
/// share.
pub async fn find_capacity(
    generator: &Generator,
    mix: Vec<(Stream, f64)>,
    from: f64,
    objective: &Objective,
    tell: impl Fn(f64, &Tried),
) -> Result<Found, InvalidTraffic> {
    let patience = mix.iter().map(|(stream, _)| stream.patience()).max().unwrap_or_default();
    let mut ids = Vec::new();
    for (stream, share) in mix {
        ids.push((add_probe(generator, stream)?, share));
    }
    let mut search = CapacitySearch::new(from, objective);
    while let Some((rate, tried)) = search.next(generator, &ids, patience).await {
        tell(rate, &tried);
    }
    Ok(search.found())
}

/// Adds a stream for probes: its arrivals are evenly spaced.
pub fn add_probe(generator: &Generator, mut stream: Stream) -> Result<StreamId, InvalidTraffic> {
    stream.arrivals = Arrivals::Constant;
    let name = stream.name.clone();
    generator.add(stream).map_err(|source| InvalidTraffic { name, source })
}

/// A capacity search that takes one rate at a time, for callers that do something in between.
#[derive(Debug)]
pub struct CapacitySearch<'a> {
    objective: &'a Objective,
    search: Search,
    /// The number of probes repeated because the load generator fell behind.
    distrusted: u32,
    /// The number of consecutive misses.
    missed: u32,
    /// The reason to distrust the result, if any.
    distrust: Option<String>,
}

impl<'a> CapacitySearch<'a> {
    /// Creates a search that begins at this rate.
    pub fn new(from: f64, objective: &'a Objective) -> Self {
        let mut search = Search::new(from, RATE_MIN, RATE_MAX)
            .to_within(objective.precision)
            .in_strides_of(objective.stride);
        if let Some(rate) = objective.too_much {
            search = search.below(rate);
        }
        Self { objective, search, distrusted: 0, missed: 0, distrust: None }
    }

    /// Tries the next rate. `patience` is the longest that a request of these streams can stay unanswered.
    /// `None` if the search is over.
    pub async fn next(
        &mut self,
        generator: &Generator,
        ids: &[(StreamId, f64)],
        patience: Duration,
    ) -> Option<(f64, Tried)> {
        loop {
            let rate = self.search.next_rate()?;
            let tried = probe(generator, ids, rate, self.objective, patience).await;
            if let Some(reason) = &tried.distrust {
                self.distrusted += 1;
                if self.distrusted > AGAIN_MAX {
                    self.distrust = Some(reason.clone());
                    return None;
                }
                continue;
            }
            self.missed = if tried.met { 0 } else { self.missed + 1 };
            if !(1..self.objective.misses).contains(&self.missed) {
                self.missed = 0;
                self.search.report(rate, if tried.met { Trial::Met } else { Trial::Missed });
            }
            return Some((rate, tried));
        }
    }

    /// The result so far.
    pub fn found(self) -> Found {
        (self.search.result(), self.distrust)
    }
}

/// Tries one rate, and waits until all of its requests have ended.
pub async fn probe(
    generator: &Generator,
    mix: &[(StreamId, f64)],
    rate: f64,
    objective: &Objective,
    patience: Duration,
) -> Tried {
    let begun = generator.recorder().now();
    mix.iter().for_each(|(id, share)| generator.set_rate(*id, Rate::Steady(rate * share)));
    let from = begun + WARMUP.min(objective.probe / 4);
    let to = last(generator, mix, rate, objective).await;
    mix.iter().for_each(|(id, _)| generator.set_rate(*id, Rate::STOPPED));
    let _ = generator.recorder().settled(to, patience + Duration::from_secs(1)).await;
    let window = |from: Moment| {
        let windows = mix.iter().map(|(id, _)| generator.recorder().window(*id, from, to)).collect();
        Window::joined(from, to, windows)
    };
    tried(&window(begun), &window(from.min(to)), objective, patience)
}

/// The result of a probe: the generator is judged by the whole window, the target by the part after the
/// warm-up. A probe that became hopeless before that is a miss.
fn tried(whole: &Window, judged: &Window, objective: &Objective, patience: Duration) -> Tried {
    // A request still without an outcome was not answered in time either.
    let failed = judged.failed() + judged.unfinished;
    let requests = judged.requests() + judged.unfinished;
    let p99 = judged.percentile(99.0).unwrap_or(patience);
    let met = requests > 0 && failed as f64 <= ERRORS_MAX * requests as f64 && p99 <= objective.p99;
    // A late generator makes answers late. A rate that met the objective nevertheless met it, and one that would
    // have been too slow even on time was missed for certain.
    let on_time = judged.as_if_on_time(&[]).percentile(99.0);
    let matters = !met && on_time.is_none_or(|p99| p99 <= objective.p99);
    let distrust = whole.not_sent().filter(|_| !met).or(whole.late(objective.p99).filter(|_| matters));
    Tried { met, p99, failed, distrust }
}

/// Waits for the end of a probe, or until it is hopeless: more is in flight than can be answered within the
/// objective. Stopping then spares the target a long queue.
async fn last(generator: &Generator, mix: &[(StreamId, f64)], rate: f64, objective: &Objective) -> Moment {
    let hopeless = 10.0 + 2.0 * rate * objective.p99.as_secs_f64();
    let end = Instant::now() + objective.probe;
    while Instant::now() < end {
        sleep(LOOK_EVERY.min(end.saturating_duration_since(Instant::now()))).await;
        let in_flight: usize = mix.iter().map(|(id, _)| generator.in_flight(*id)).sum();
        if in_flight as f64 > hopeless {
            break;
        }
    }
    generator.recorder().now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CacheMark, Outcome, Sample};

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A window of requests 10 ms apart that were sent this late and took this long.
    fn window(lag: u64, latencies: &[u64], unfinished: usize) -> Window {
        let sample = |(n, latency): (u64, &u64)| Sample {
            stream: StreamId::default(),
            intended: ms(10 * n),
            lag: ms(lag),
            latency: ms(*latency),
            outcome: Outcome::Ok,
            status: 200,
            served_by: None,
            cache: CacheMark::None,
            attempts: 1,
        };
        Window::new(ms(0), ms(1_000), (0..).zip(latencies).map(sample).collect(), unfinished)
    }

    fn judged(whole: &Window, judged: &Window) -> Tried {
        tried(whole, judged, &Objective::new(ms(100), ms(2_000)), ms(5_000))
    }

    #[test]
    fn a_probe_that_ends_within_its_warm_up_is_a_miss_unless_the_generator_was_late() {
        let nothing = window(0, &[], 0);
        let hopeless = judged(&window(0, &[3_000], 0), &nothing);
        assert!(!hopeless.met && hopeless.distrust.is_none());
        let late = judged(&window(50, &[3_000], 0), &nothing);
        assert!(!late.met && late.distrust.is_some_and(|reason| reason.contains("late")));
        let late_and_slow = window(50, &[3_000], 0);
        let missed = judged(&late_and_slow, &late_and_slow);
        assert!(!missed.met && missed.distrust.is_none(), "on time it would have been too slow as well");
    }

    #[test]
    fn what_is_not_answered_in_the_end_has_failed() {
        let answered = window(0, &[20, 20], 0);
        assert!(judged(&answered, &answered).met);
        let hanging = window(0, &[20, 20], 1);
        let tried = judged(&hanging, &hanging);
        assert_eq!((tried.met, tried.failed, tried.distrust), (false, 1, None));
    }
}
