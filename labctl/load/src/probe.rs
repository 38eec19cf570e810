//! Measuring a capacity: the highest rate that meets an objective.
//!
//! The probes' arrivals are evenly spaced: a short probe then measures the machine and not the luck
//! of the draw. What randomness does to queues below the limit is another chapter's matter.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use tokio::time::{Instant, sleep};

use super::{
    Arrivals, CapacityEstimate, Generator, InvalidRequests, Moment, Rate, Search, Stream, StreamId, Trial,
    Window,
};

/// Rates outside of these are not tried.
const RATE_MIN: f64 = 5.0;
const RATE_MAX: f64 = 20_000.0;
/// More failed requests than this miss the objective, whatever their latency.
const ERRORS_MAX: f64 = 0.001;
/// The first part of a probe is not judged.
const WARMUP: Duration = Duration::from_millis(500);
/// How often a probe looks whether it is hopeless.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How many probes of a search may be repeated because the load generator fell behind.
const AGAIN_MAX: u32 = 3;

/// Requests of a traffic that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("traffic '{name}': {source}")]
pub struct InvalidTraffic {
    /// Its name.
    name: String,
    source: InvalidRequests,
}

/// What a target can do, or why it could not be found out.
pub type Found = (CapacityEstimate, Option<String>);

/// What a rate has to meet.
#[derive(Debug, Clone)]
pub struct Objective {
    /// 99 % of the answers come within this time.
    pub p99: Duration,
    /// How long a rate is tried.
    pub probe: Duration,
    /// How far the result may be from the truth, as a share of it.
    pub precision: f64,
    /// By what the rate goes up, or down, until it is too much, or is not any more.
    pub stride: f64,
    /// A rate that is known to be too much.
    pub too_much: Option<f64>,
    /// How many misses in a row rule a rate out: a host that was busy for a moment
    /// misses one.
    pub misses: u32,
}

impl Objective {
    /// An objective, and the usual precision.
    pub fn new(p99: Duration, probe: Duration) -> Self {
        Self { p99, probe, precision: Search::PRECISION, stride: 2.0, too_much: None, misses: 1 }
    }
}

/// How a rate went.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Tried {
    /// Whether it met the objective.
    pub met: bool,
    /// The slowest percent. In JSON, in milliseconds.
    #[serde(rename = "p99_ms", serialize_with = "as_millis")]
    #[schemars(with = "f64")]
    pub p99: Duration,
    /// Requests that failed.
    pub failed: usize,
    /// Why it should not be trusted.
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

/// Finds the highest rate that meets an objective. The rate is that of a mix of streams together, each
/// with its share of it.
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

/// Adds a stream that rates are tried with: its arrivals are evenly spaced.
pub fn add_probe(generator: &Generator, mut stream: Stream) -> Result<StreamId, InvalidTraffic> {
    stream.arrivals = Arrivals::Constant;
    let name = stream.name.clone();
    generator.add(stream).map_err(|source| InvalidTraffic { name, source })
}

/// A search for a capacity, a rate at a time: for those who have something to do in between.
#[derive(Debug)]
pub struct CapacitySearch<'a> {
    objective: &'a Objective,
    search: Search,
    /// Probes that were repeated because the load generator fell behind.
    distrusted: u32,
    /// Misses in a row.
    missed: u32,
    /// Why what is found should not be trusted.
    distrust: Option<String>,
}

impl<'a> CapacitySearch<'a> {
    /// A search that begins at this rate.
    pub fn new(from: f64, objective: &'a Objective) -> Self {
        let mut search = Search::new(from, RATE_MIN, RATE_MAX)
            .to_within(objective.precision)
            .in_strides_of(objective.stride);
        if let Some(rate) = objective.too_much {
            search = search.below(rate);
        }
        Self { objective, search, distrusted: 0, missed: 0, distrust: None }
    }

    /// Tries the next rate, with streams whose requests may go without an answer for so long. `None`: the search is
    /// over.
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

    /// What is known by now.
    pub fn found(self) -> Found {
        (self.search.result(), self.distrust)
    }
}

/// Tries one rate, and waits until all that it caused is over.
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

/// What a probe says: the generator is judged by all of it, and the target by what comes after the
/// warm-up. A probe that was hopeless before that is a miss.
fn tried(whole: &Window, judged: &Window, objective: &Objective, patience: Duration) -> Tried {
    // What is not over by now was not answered in time either.
    let failed = judged.failed() + judged.unfinished;
    let requests = judged.requests() + judged.unfinished;
    let p99 = judged.percentile(99.0).unwrap_or(patience);
    let met = requests > 0 && failed as f64 <= ERRORS_MAX * requests as f64 && p99 <= objective.p99;
    // A generator that is late makes answers late; a rate that was met all the same was met.
    // What would have been too slow on time as well was missed for certain.
    let on_time = judged.as_if_on_time(&[]).percentile(99.0);
    let matters = !met && on_time.is_none_or(|p99| p99 <= objective.p99);
    let distrust = whole.not_sent().filter(|_| !met).or(whole.late(objective.p99).filter(|_| matters));
    Tried { met, p99, failed, distrust }
}

/// Waits for a probe's end, or for the moment from which it is hopeless: more is under way than
/// could be answered within the objective. Stopping then spares the target a long queue.
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

    /// A window of requests 10 ms apart that were sent and answered so late.
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
