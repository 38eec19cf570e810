//! The data of a chapter's own charts, from a run's requests: traffics as lanes, and answers by server. Pure.
#![deny(clippy::disallowed_methods)]

use super::requests::Record;
use chapter::chart::Lane;
use chapter::kind;

/// Approximate number of bins in a lane.
const SPANS: f64 = 90.0;
/// Minimum and maximum width of a bin, in seconds.
const SPAN: (f64, f64) = (0.1, 2.0);

/// The times of a run's steps.
#[derive(Debug)]
pub struct Steps<'a> {
    /// When each step began, in seconds.
    pub begins: &'a [(String, f64)],
    /// When the last step ended, in seconds.
    pub ended: f64,
}

impl Steps<'_> {
    /// Returns the interval from the beginning of a step to the end of another, in seconds. `None` if the run
    /// did not reach them.
    pub fn stretch(&self, from: &str, to: Option<&str>) -> Option<(f64, f64)> {
        let place = |name: &str| self.begins.iter().position(|(step, _)| step == name);
        let (first, last) = (place(from)?, place(to.unwrap_or(from))?);
        let end = self.begins.get(last + 1).map_or(self.ended, |(_, begin)| *begin);
        Some((self.begins[first].1, end))
    }

    /// Returns the steps that begin within an interval, with their offset from its beginning.
    pub fn within(&self, (from, to): (f64, f64)) -> Vec<(String, f64)> {
        let inside = self.begins.iter().filter(|(_, at)| (from..to).contains(at));
        inside.map(|(name, at)| (name.clone(), at - from)).collect()
    }
}

/// One bin of a lane, in requests per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Span {
    /// Requests that were due in it.
    pub offered: f64,
    /// Successful answers that arrived in it.
    pub ok: f64,
    /// Requests that failed in it, whenever they were due.
    pub failed: f64,
    /// Attempts made in it: a request with four attempts counts four times, spread over its duration.
    pub work: f64,
}

/// A traffic over an interval of steps. Times count from the beginning of the first step.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneCourse {
    /// Its label.
    pub label: String,
    /// Its length in seconds.
    pub length: f64,
    /// Width of a bin in seconds.
    pub width: f64,
    /// Its bins.
    pub spans: Vec<Span>,
    /// When its steps begin.
    pub steps: Vec<(String, f64)>,
    /// Number of requests that were due in it.
    pub requests: usize,
    /// Number of those that failed.
    pub failed: usize,
}

impl LaneCourse {
    /// Computes a lane of a run. `None` if the run did not reach its steps.
    pub fn of(lane: &Lane, records: &[Record], steps: &Steps<'_>) -> Option<Self> {
        let stretch @ (from, to) =
            steps.stretch(lane.from.as_ref(), lane.to.as_ref().map(|to| to.as_ref().as_str()))?;
        let length = (to - from).max(SPAN.0);
        let width = (length / SPANS).clamp(SPAN.0, SPAN.1);
        let mut spans = vec![Span::default(); spans_of(length, width)];
        let (mut requests, mut failed) = (0, 0);
        let each = 1.0 / width;
        for record in records.iter().filter(|record| record.traffic == *lane.traffic.as_ref()) {
            let mut add = |moment: f64, what: fn(&mut Span) -> &mut f64| {
                let index = ((moment - from) / width).floor();
                if index >= 0.0
                    && let Some(span) = spans.get_mut(index as usize)
                {
                    *what(span) += each;
                }
            };
            add(record.due, |span| &mut span.offered);
            add(record.done, if record.is_good { |span| &mut span.ok } else { |span| &mut span.failed });
            // The times of attempts are not recorded, so they are spread evenly over the request's duration,
            // even past the run's end.
            let apart = record.latency.unwrap_or_default() / 1e3 / record.attempts.max(1.0);
            for attempt in 0..record.attempts as usize {
                add(record.due + attempt as f64 * apart, |span| &mut span.work);
            }
            if (from..to).contains(&record.due) {
                requests += 1;
                failed += usize::from(!record.is_good);
            }
        }
        let label = if lane.label.is_empty() { lane.traffic.as_ref().clone() } else { lane.label.clone() };
        Some(Self { label, length, width, spans, steps: steps.within(stretch), requests, failed })
    }

    /// Returns whether any request was retried.
    pub fn asks_again(&self) -> bool {
        let sum = |figure: fn(&Span) -> f64| self.spans.iter().map(figure).sum::<f64>();
        sum(|span| span.work) > 1.02 * sum(|span| span.offered)
    }

    /// Summarises the outcome of its requests.
    pub fn told(&self) -> String {
        match self.failed {
            0 => format!("none of {} failed", self.requests),
            failed if failed == self.requests => format!("all {failed} failed"),
            failed => format!("{failed} of {} failed", self.requests),
        }
    }
}

/// Answers of a traffic by server, over an interval of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// Its length in seconds.
    pub length: f64,
    /// Width of a bin in seconds.
    pub width: f64,
    /// Servers in natural order, with their successful answers per second in each bin.
    pub servers: Vec<(String, Vec<f64>)>,
    /// Failures per second in each bin.
    pub failed: Vec<f64>,
    /// When its steps begin.
    pub steps: Vec<(String, f64)>,
}

impl Shares {
    /// Computes the shares of a run. `None` if the run did not reach these steps.
    pub fn of(lane: &Lane, records: &[Record], steps: &Steps<'_>) -> Option<Self> {
        let stretch @ (from, to) =
            steps.stretch(lane.from.as_ref(), lane.to.as_ref().map(|to| to.as_ref().as_str()))?;
        let length = (to - from).max(SPAN.0);
        let width = (length / SPANS).clamp(SPAN.0, SPAN.1);
        let count = spans_of(length, width);
        let mut servers: Vec<(String, Vec<f64>)> = Vec::new();
        let mut failed = vec![0.0; count];
        for record in records.iter().filter(|record| record.traffic == *lane.traffic.as_ref()) {
            let index = ((record.done - from) / width).floor();
            if index < 0.0 || index as usize >= count {
                continue;
            }
            let index = index as usize;
            if !record.is_good {
                failed[index] += 1.0 / width;
                continue;
            }
            let known = servers.iter().position(|(name, _)| *name == record.server);
            let place = known.unwrap_or_else(|| {
                servers.push((record.server.clone(), vec![0.0; count]));
                servers.len() - 1
            });
            servers[place].1[index] += 1.0 / width;
        }
        servers.sort_by_key(|(name, _)| natural(name));
        Some(Self { length, width, servers, failed, steps: steps.within(stretch) })
    }
}

/// Returns the number of whole bins: a partial one would look like a drop.
fn spans_of(length: f64, width: f64) -> usize {
    ((length / width + 1e-6) as usize).max(1)
}

/// Sort key that puts `web-10` after `web-9`.
fn natural(name: &str) -> (String, u32) {
    let (kind, number) = kind::split(name).unwrap_or((name, 0));
    (kind.to_owned(), number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::requests::records;

    fn lane(text: &str) -> Lane {
        toml::from_str(text).unwrap()
    }

    /// Returns two steps of two seconds each.
    fn begins() -> Vec<(String, f64)> {
        vec![("well".into(), 1.0), ("crash".into(), 3.0)]
    }

    const REQUESTS: &str = "intended_ms,stream,outcome,status,latency_ms,lag_ms,served_by,cache,attempts\n\
        900,shop,ok,200,5,0,web-2,,1\n\
        1010,shop,ok,200,5,0,web-2,,1\n\
        1020,shop,ok,200,5,0,web-10,,1\n\
        3050,shop,refused,0,900,0,,,4\n\
        3060,other,ok,200,5,0,web-1,,1\n";

    #[test]
    fn a_lane_begins_with_its_first_step_and_counts_what_was_due_in_it() {
        let (records, begins) = (records(REQUESTS, 5.0).unwrap(), begins());
        let steps = Steps { begins: &begins, ended: 5.0 };
        let of = |text: &str| LaneCourse::of(&lane(text), &records, &steps);
        let both = of("traffic = 'shop'\nfrom = 'well'\nto = 'crash'").unwrap();
        assert_eq!((both.requests, both.failed, both.length, &*both.label), (3, 1, 4.0, "shop"));
        assert_eq!(both.steps, [("well".to_owned(), 0.0), ("crash".to_owned(), 2.0)]);
        assert!((both.spans[0].ok - 20.0).abs() < 1e-9, "two in a tenth of a second: {:?}", both.spans[0]);
        assert!((both.spans[29].failed - 10.0).abs() < 1e-9, "a failure counts when it was known");
        assert!(both.asks_again() && both.told() == "1 of 3 failed");
        let crash = of("label = 'dead'\ntraffic = 'shop'\nfrom = 'crash'").unwrap();
        assert_eq!((&*crash.label, crash.told()), ("dead", "all 1 failed".to_owned()));
        assert_eq!(of("traffic = 'shop'\nfrom = 'later'"), None, "the run ended before");
    }

    #[test]
    fn attempts_are_spread_over_the_time_that_they_took() {
        let (records, begins) = (records(REQUESTS, 5.0).unwrap(), begins());
        let steps = Steps { begins: &begins, ended: 5.0 };
        let crash = LaneCourse::of(&lane("traffic = 'shop'\nfrom = 'crash'"), &records, &steps).unwrap();
        let asked: Vec<_> = (0..crash.spans.len()).filter(|index| crash.spans[*index].work > 0.0).collect();
        assert_eq!(asked, [0, 2, 5, 7], "four attempts in nine tenths of a second");
    }

    #[test]
    fn servers_stand_in_the_order_of_their_numbers_and_failures_apart() {
        let (records, begins) = (records(REQUESTS, 5.0).unwrap(), begins());
        let steps = Steps { begins: &begins, ended: 5.0 };
        let all =
            Shares::of(&lane("traffic = 'shop'\nfrom = 'well'\nto = 'crash'"), &records, &steps).unwrap();
        let names: Vec<_> = all.servers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["web-2", "web-10"]);
        assert_eq!(all.failed.iter().filter(|failed| **failed > 0.0).count(), 1);
    }
}
