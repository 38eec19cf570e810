//! What a fault did to a path: from the requests before, during and after it to one word. Pure.
//!
//! ```text
//! nothing failed ─────────────────> ok          (slower or stale to the end: degraded)
//! failed, and good again in time ─> blip
//! still failing at the end ───────> degraded    (fewer than half of the requests)
//!                                └─> outage      (half of them, or more)
//! acknowledged, and gone ─────────> data loss, whatever else
//! ```
#![deny(clippy::disallowed_methods)]

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use load::{Outcome, Window};

/// From so many failing requests on, as a share of all, a path is down.
const DOWN: f64 = 0.5;
/// Answers that take so many times as long as before are slow …
const SLOWER: f64 = 3.0;
/// … when they also take so much longer.
const SLOWER_BY: Duration = Duration::from_millis(100);

/// What a fault did to a path, in one word. The later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Nobody noticed.
    Ok,
    /// Requests failed, and then none did any more, with nobody touching anything.
    Blip,
    /// It went on, worse: slower, with old copies, or with some requests failing.
    Degraded,
    /// It was down until somebody repaired it.
    Outage,
    /// Something that had been acknowledged is gone.
    DataLoss,
}

/// What a fault did to a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    /// In one word.
    pub class: Class,
    /// It did not come back by itself.
    pub down: bool,
    /// Requests failed, and in the end none did, with nobody touching anything.
    pub recovered: bool,
    /// From the first failed request to the first good one after the last failed one, in seconds; as
    /// long as it was watched, when it did not come back by itself.
    pub outage_seconds: f64,
    /// Requests that failed.
    pub dropped: usize,
    /// Requests that were made.
    pub requests: usize,
    /// The median answer in the end, as a multiple of the median before. `None`: there were none.
    pub slower: Option<f64>,
    /// Acknowledged writes, or sessions, that are gone.
    pub lost: usize,
}

/// What was seen of one path.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Before the fault.
    pub calm: &'a Window,
    /// From the fault to the end.
    pub whole: &'a Window,
    /// The end: by then it should have recovered.
    pub end: &'a Window,
}

impl Class {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Blip => "blip",
            Self::Degraded => "degraded",
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
    /// Judges what was seen.
    pub fn of(seen: &Seen<'_>) -> Self {
        let failed_in_the_end = seen.end.error_rate();
        // A path on which nothing was answered at all in the end is down, whatever the reason.
        let down = failed_in_the_end >= DOWN || seen.end.requests() == 0;
        let median = |window: &Window| window.percentile(50.0);
        let slower = median(seen.calm).zip(median(seen.end)).map(|(calm, end)| ratio(end, calm));
        let class = if down {
            Class::Outage
        } else if failed_in_the_end > 0.0 || is_slow(seen, slower) || is_stale(seen.end) {
            Class::Degraded
        } else if seen.whole.failed() > 0 {
            Class::Blip
        } else {
            Class::Ok
        };
        Self {
            class,
            down,
            recovered: seen.whole.failed() > 0 && !down && failed_in_the_end == 0.0,
            outage_seconds: seen.whole.outage().as_secs_f64(),
            dropped: seen.whole.failed(),
            requests: seen.whole.requests(),
            slower,
            lost: 0,
        }
    }

    /// The same, when so much that had been acknowledged turned out to be gone.
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

    /// A request each 100 ms: `.` good, `x` failed, `~` stale, `s` slow.
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
            }
        });
        Window::new(Duration::ZERO, Duration::from_millis(100 * drawn.len() as u64), samples.collect(), 0)
    }

    fn class(whole: &str) -> Class {
        let end = &whole[whole.len().saturating_sub(5)..];
        Impact::of(&Seen { calm: &window("....."), whole: &window(whole), end: &window(end) }).class
    }

    #[test]
    fn a_fault_is_told_by_how_it_ends() {
        assert_eq!(class(".........."), Class::Ok);
        assert_eq!(class(".xx......."), Class::Blip);
        assert_eq!(class(".x.x.x.x.."), Class::Degraded, "one in five still fails");
        assert_eq!(class(".xxxxxxxxx"), Class::Outage);
        assert_eq!(class("...~~~~~~~"), Class::Degraded);
        assert_eq!(class("...sssssss"), Class::Degraded);
    }

    #[test]
    fn an_outage_says_how_long_and_how_many() {
        let drawn = window(".xx.......");
        let impact = Impact::of(&Seen { calm: &window("..."), whole: &drawn, end: &window(".....") });
        assert!((impact.outage_seconds - 0.2).abs() < 1e-9);
        assert_eq!((impact.dropped, impact.requests, impact.down), (2, 10, false));
    }

    #[test]
    fn nothing_heard_in_the_end_is_an_outage() {
        let impact = Impact::of(&Seen { calm: &window("..."), whole: &window("..."), end: &window("") });
        assert_eq!((impact.class, impact.down), (Class::Outage, true));
    }

    #[test]
    fn what_is_lost_weighs_more_than_how_it_went() {
        let seen = window(".xx.......");
        let blip = Impact::of(&Seen { calm: &window("..."), whole: &seen, end: &window(".....") });
        assert_eq!(blip.clone().having_lost(0).class, Class::Blip);
        let lost = blip.having_lost(3);
        assert_eq!((lost.class, lost.lost, lost.down), (Class::DataLoss, 3, false));
    }

    #[test]
    fn classes_are_ordered_from_best_to_worst() {
        let mut classes = [Class::Outage, Class::Ok, Class::DataLoss, Class::Blip, Class::Degraded];
        classes.sort();
        assert_eq!(classes[0], Class::Ok);
        assert_eq!(classes[4], Class::DataLoss);
    }
}
