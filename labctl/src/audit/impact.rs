//! Classifies the impact of a fault on a path, from the requests before, during and after it. Pure.
//!
//! ```text
//! no failures, or only in passing ─> ok              (slower or stale at the end: degraded)
//! failures, then recovered ────────> blip
//! still failing at the end ────────> degraded        (hardly any request)
//!                               ├─> partial outage  (a share of the requests)
//!                               └─> outage          (nearly all requests)
//! good, but cannot carry the load ─> outage
//! acknowledged, but lost ──────────> data loss, regardless of the rest
//! ```
//!
//! If one of n identical servers is dead and goes unnoticed, one request in n fails: a half, a third, a
//! fifth. The thresholds between the classes therefore avoid these shares, and a path is watched until it is
//! clear on which side of them it lies (`Share::of`).
#![deny(clippy::disallowed_methods)]

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::strain::{Overload, is_hit, lives_on_copies};
use load::{Outcome, Window};

/// From this share of failing requests on, a path is down as a whole; it lies between one in two and all.
const WHOLE: f64 = 0.75;
/// Up to this share hardly any requests fail: fewer than one in twenty.
const HARDLY_ANY: f64 = 0.04;
/// Confidence required, in standard deviations: 99 %, two-sided.
const SURE: f64 = 2.576;
/// After this many requests the most likely class is taken.
pub const REQUESTS_MAX: usize = 120;
/// Up to this many failed requests, …
const PASSING: usize = 2;
/// … within this time, hardly matter: whether there is one depends on chance.
const PASSING_FOR: Duration = Duration::from_millis(200);
/// Consecutive successes after a failure that count as recovered. If one in five requests kept failing, a run
/// this long would practically never occur.
pub const RUN: usize = 40;
/// Answers are slow if they take this many times as long as before …
const SLOWER: f64 = 3.0;
/// … and also this much longer.
const SLOWER_BY: Duration = Duration::from_millis(100);

/// The impact of a fault on a path, from mild to severe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Unnoticed, or nearly: a request or two failed in passing.
    Ok,
    /// Requests failed, then recovered without intervention.
    Blip,
    /// It kept working, but worse: slower, with stale copies, or with hardly any requests failing.
    Degraded,
    /// A share of the requests failed until the repair.
    #[serde(rename = "partial_outage")]
    Partial,
    /// It was down until the repair, or would have been before long.
    Outage,
    /// Something that had been acknowledged is gone.
    DataLoss,
}

/// The impact of a fault on a path, with the figures behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    /// The classification.
    pub class: Class,
    /// It did not recover on its own, or could not carry the load.
    pub down: bool,
    /// A share of its requests failed and did not recover on its own.
    #[serde(default)]
    pub partly_down: bool,
    /// The share of requests that failed at the end, from 0 to 1, which determines the class.
    #[serde(default)]
    pub failing: f64,
    /// The remaining machines cannot carry the load: nothing fails any more, but before long everything
    /// would.
    #[serde(default)]
    pub overload: Option<Overload>,
    /// The latency of the slowest success, in seconds.
    #[serde(default)]
    pub slowest_seconds: f64,
    /// All its answers came from cached copies, which expire.
    #[serde(default)]
    pub copies: bool,
    /// Requests failed, and at the end none did, without intervention.
    pub recovered: bool,
    /// From the first failed request to the first success after the last failed one, in seconds; the whole
    /// observation if it did not recover on its own.
    pub outage_seconds: f64,
    /// Number of failed requests.
    pub dropped: usize,
    /// Number of requests sent.
    pub requests: usize,
    /// The median latency at the end as a multiple of the median before. `None` if there were no answers.
    pub slower: Option<f64>,
    /// Number of acknowledged writes, or sessions, that were lost.
    pub lost: usize,
}

/// Observations of one path.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Before the fault.
    pub calm: &'a Window,
    /// From the fault to the end.
    pub whole: &'a Window,
    /// The end of the observation: by then it should have recovered.
    pub end: &'a Window,
    /// The overload of what is left, if it cannot carry the load.
    pub overload: Option<&'a Overload>,
}

/// The share of a path's requests that fails permanently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// No request fails.
    Nothing,
    /// Hardly any request fails.
    HardlyAny,
    /// One request in a few fails.
    Part,
    /// All requests fail, or nearly all.
    Whole,
}

impl Share {
    /// Classifies a failure count with statistical confidence. `None` if there are too few requests to tell.
    pub fn of(failed: usize, requests: usize) -> Option<Self> {
        if failed == 0 && requests > 0 {
            return Some(Self::Nothing);
        }
        let (low, high) = interval(failed, requests);
        match () {
            () if low >= WHOLE => Some(Self::Whole),
            () if low >= HARDLY_ANY && high < WHOLE => Some(Self::Part),
            () if high < HARDLY_ANY => Some(Self::HardlyAny),
            () if requests >= REQUESTS_MAX => Some(Self::likeliest(failed, requests)),
            () => None,
        }
    }

    /// Returns the most likely class.
    fn likeliest(failed: usize, requests: usize) -> Self {
        match failed as f64 / requests as f64 {
            // A path without any answers is down, whatever the reason.
            share if share.is_nan() || share >= WHOLE => Self::Whole,
            share if share >= HARDLY_ANY => Self::Part,
            share if share > 0.0 => Self::HardlyAny,
            _ => Self::Nothing,
        }
    }
}

/// Returns the Wilson score interval of the failure rate.
fn interval(failed: usize, requests: usize) -> (f64, f64) {
    if requests == 0 {
        return (0.0, 1.0);
    }
    let (count, share, square) = (requests as f64, failed as f64 / requests as f64, SURE * SURE);
    let middle = share + square / (2.0 * count);
    let spread = SURE * (share * (1.0 - share) / count + square / (4.0 * count * count)).sqrt();
    let scale = 1.0 + square / count;
    ((middle - spread) / scale, (middle + spread) / scale)
}

impl Class {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Blip => "blip",
            Self::Degraded => "degraded",
            Self::Partial => "partial outage",
            Self::Outage => "outage",
            Self::DataLoss => "data loss",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl Impact {
    /// Classifies the observations.
    pub fn of(seen: &Seen<'_>) -> Self {
        let (failed, requests) = (seen.end.failed(), seen.end.requests());
        let share = Share::of(failed, requests).unwrap_or_else(|| Share::likeliest(failed, requests));
        let overload = seen.overload.filter(|overload| is_hit(overload, seen.calm, seen.end));
        let down = share == Share::Whole || overload.is_some();
        let median = |window: &Window| window.percentile(50.0);
        let slower = median(seen.calm).zip(median(seen.end)).map(|(calm, end)| ratio(end, calm));
        let class = if down {
            Class::Outage
        } else if share == Share::Part {
            Class::Partial
        } else if share == Share::HardlyAny || is_slow(seen, slower) || is_stale(seen.end) {
            Class::Degraded
        } else if seen.whole.failed() > PASSING || seen.whole.outage() > PASSING_FOR {
            Class::Blip
        } else {
            Class::Ok
        };
        Self {
            class,
            down,
            partly_down: share == Share::Part && !down,
            failing: if requests == 0 { 1.0 } else { seen.end.error_rate() },
            overload: overload.cloned(),
            slowest_seconds: seen.whole.percentile(100.0).unwrap_or_default().as_secs_f64(),
            copies: lives_on_copies(seen.end),
            recovered: seen.whole.failed() > 0 && !down && share == Share::Nothing,
            outage_seconds: seen.whole.outage().as_secs_f64(),
            dropped: seen.whole.failed(),
            requests: seen.whole.requests(),
            slower,
            lost: 0,
        }
    }

    /// Returns the impact with a number of acknowledged writes or sessions found to be lost.
    pub fn having_lost(self, lost: usize) -> Self {
        let class = if lost > 0 { Class::DataLoss } else { self.class };
        Self { class, lost, ..self }
    }
}

fn is_slow(seen: &Seen<'_>, slower: Option<f64>) -> bool {
    let by = seen.end.percentile(50.0).unwrap_or_default();
    let calm = seen.calm.percentile(50.0).unwrap_or_default();
    slower.is_some_and(|slower| slower > SLOWER) && by.saturating_sub(calm) > SLOWER_BY
}

fn is_stale(end: &Window) -> bool {
    end.count(Outcome::Stale) * 2 > end.requests()
}

fn ratio(end: Duration, calm: Duration) -> f64 {
    end.as_secs_f64() / calm.as_secs_f64().max(1e-6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use load::{CacheMark, Sample, StreamId};

    /// One request every 100 ms: `.` good, `x` failed, `~` stale, `s` slow.
    fn window(drawn: &str) -> Window {
        let samples = drawn.chars().enumerate().map(|(index, letter)| {
            let (outcome, latency) = match letter {
                'x' => (Outcome::Refused, 1),
                '~' => (Outcome::Stale, 10),
                's' => (Outcome::Ok, 400),
                _ => (Outcome::Ok, 10),
            };
            Sample {
                stream: StreamId::default(),
                intended: Duration::from_millis(100 * index as u64),
                lag: Duration::ZERO,
                latency: Duration::from_millis(latency),
                outcome,
                status: 0,
                served_by: None,
                cache: CacheMark::None,
                attempts: 1,
            }
        });
        Window::new(Duration::ZERO, Duration::from_millis(100 * drawn.len() as u64), samples.collect(), 0)
    }

    fn class(whole: &str) -> Class {
        let end = &whole[whole.len().saturating_sub(5)..];
        let end = end.repeat(8);
        judged(".....", whole, &end).class
    }

    fn judged(calm: &str, whole: &str, end: &str) -> Impact {
        let (calm, whole, end) = (window(calm), window(whole), window(end));
        Impact::of(&Seen { calm: &calm, whole: &whole, end: &end, overload: None })
    }

    #[test]
    fn a_fault_is_told_by_how_it_ends() {
        assert_eq!(class(".........."), Class::Ok);
        assert_eq!(class(".xxx......"), Class::Blip);
        assert_eq!(class(".xx......."), Class::Ok, "in passing");
        assert_eq!(class(".x..x....."), Class::Blip, "not in passing");
        assert_eq!(class(".x.x.x.x.."), Class::Partial, "two in five still fail");
        assert_eq!(class(".xxxxxxxxx"), Class::Outage);
        assert_eq!(class("...~~~~~~~"), Class::Degraded);
        assert_eq!(class("...sssssss"), Class::Degraded);
    }

    #[test]
    fn an_outage_says_how_long_and_how_many() {
        let impact = judged("...", ".xx.......", ".....");
        assert!((impact.outage_seconds - 0.2).abs() < 1e-9);
        assert_eq!((impact.dropped, impact.requests, impact.down), (2, 10, false));
    }

    #[test]
    fn nothing_heard_in_the_end_is_an_outage() {
        let impact = judged("...", "...", "");
        assert_eq!((impact.class, impact.down), (Class::Outage, true));
    }

    #[test]
    fn what_is_lost_weighs_more_than_how_it_went() {
        let blip = judged("...", ".xxx......", ".....");
        assert_eq!(blip.clone().having_lost(0).class, Class::Blip);
        let lost = blip.having_lost(3);
        assert_eq!((lost.class, lost.lost, lost.down), (Class::DataLoss, 3, false));
    }

    /// A deterministic random generator (splitmix64).
    fn dice(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed.wrapping_mul(0x2545_F491_4F6C_DD1D);
        move || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (mixed ^ (mixed >> 31)) >> 8
        }
    }

    #[test]
    fn a_share_that_fails_for_good_has_one_name_whatever_the_dice_say() {
        // One of two, of three, of five identical servers is dead: a thousand series each.
        for (one_in, seeds) in [(2, 0..1000), (3, 0..1000), (5, 0..1000)] {
            let told = seeds.map(|seed| {
                let mut dice = dice(seed);
                let (mut failed, mut requests) = (0, 0);
                loop {
                    failed += usize::from(dice().is_multiple_of(one_in));
                    requests += 1;
                    // The first check comes after two seconds, later ones every half second.
                    let look = requests >= 20 && requests % 5 == 0;
                    if let Some(share) = Share::of(failed, requests).filter(|_| look) {
                        return share;
                    }
                }
            });
            let told: Vec<_> = told.collect();
            let wrong = told.iter().filter(|share| **share != Share::Part).count();
            assert!(
                wrong <= 20,
                "one in {one_in} that fails has another name {wrong} times of 1000: {told:?}"
            );
        }
    }

    #[test]
    fn what_fails_altogether_is_known_after_twenty_requests() {
        assert_eq!(Share::of(20, 20), Some(Share::Whole));
        assert_eq!(Share::of(10, 20), Some(Share::Part));
        assert_eq!(Share::of(12, 20), None, "it may be more than one of two");
        assert_eq!(Share::of(1, 20), None);
        assert_eq!(Share::of(1, 200), Some(Share::HardlyAny));
        assert_eq!((Share::of(0, 20), Share::of(0, 0)), (Some(Share::Nothing), None));
    }

    #[test]
    fn the_figure_that_is_told_is_that_of_the_word() {
        let impact = judged("...", "xxxxxxxxxxxxxxxxxxxx.x.x.x.x", &".x".repeat(20));
        assert_eq!((impact.class, impact.failing, impact.partly_down), (Class::Partial, 0.5, true));
    }

    #[test]
    fn what_recovers_and_cannot_carry_the_load_is_down_where_it_waits() {
        let overload =
            Overload { machine: Some("web-2".into()), times: 1.3, grows_by: 2.0, wait_seconds: 0.6 };
        let of = |end: &str| {
            let (calm, whole, end) = (window("....."), window(".xxx......"), window(end));
            Impact::of(&Seen { calm: &calm, whole: &whole, end: &end, overload: Some(&overload) })
        };
        let waits = of("sssss");
        assert_eq!((waits.class, waits.down, waits.overload.is_some()), (Class::Outage, true, true));
        let elsewhere = of(".....");
        assert_eq!((elsewhere.class, elsewhere.down, elsewhere.overload), (Class::Blip, false, None));
    }

    #[test]
    fn classes_are_ordered_from_best_to_worst() {
        let mut classes = [Class::Outage, Class::Ok, Class::DataLoss, Class::Blip, Class::Degraded];
        classes.sort();
        assert_eq!(classes[0], Class::Ok);
        assert_eq!(classes[4], Class::DataLoss);
    }
}
