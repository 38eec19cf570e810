//! Reads the requests of a stored run from its `requests.csv`, and aggregates them into short bins.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;

use crate::results::stored::incomplete;
use lab::error::LabError;

/// One traffic in one bin.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bin {
    /// Requests per second that were due in it.
    pub offered: f64,
    /// Successful answers per second that arrived in it, whenever they were due.
    pub ok: f64,
    /// Failures per second that occurred in it, whenever they were due.
    pub failed: f64,
    /// 99th percentile of latency in milliseconds, over the successful requests that were due in it. `None`
    /// if there were none.
    pub p99: Option<f64>,
    /// Median of the same latencies.
    pub p50: Option<f64>,
}

/// One traffic over time, from its first request to its last answer.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Course {
    /// When the first bin begins, in seconds.
    pub from: f64,
    /// Its bins.
    pub bins: Vec<Bin>,
}

/// The bins of every traffic that sent anything.
#[derive(Debug, Default)]
pub struct Series {
    /// Width of a bin in seconds.
    pub width: f64,
    /// The traffics by name.
    pub traffics: IndexMap<String, Course>,
}

/// The requests collected in one bin.
#[derive(Debug, Clone, Default)]
struct Gathered {
    offered: usize,
    ok: usize,
    failed: usize,
    latencies: Vec<f64>,
}

/// One request as needed for charts.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The traffic that it belongs to.
    pub traffic: String,
    /// When it was due, in seconds.
    pub due: f64,
    /// When its answer arrived or it failed, in seconds.
    pub done: f64,
    /// Whether it succeeded.
    pub is_good: bool,
    /// Its latency in milliseconds; `None` if it never ended.
    pub latency: Option<f64>,
    /// The server that answered, if it identified itself.
    pub server: String,
    /// Number of attempts.
    pub attempts: f64,
}

/// Reads a run's requests, except those that the load generator could not send and those that were due after
/// the run's end.
pub fn read(directory: &Path, seconds: f64) -> Result<Vec<Record>, LabError> {
    let text = std::fs::read_to_string(directory.join("requests.csv")).map_err(|_| incomplete(directory))?;
    records(&text, seconds).ok_or_else(|| incomplete(directory))
}

/// Parses a `requests.csv`. `None` if it is not one.
pub(super) fn records(text: &str, seconds: f64) -> Option<Vec<Record>> {
    let mut lines = text.lines();
    let header: Vec<_> = lines.next()?.split(',').collect();
    let column = |name: &str| header.iter().position(|known| *known == name);
    let (at, stream, outcome, latency) =
        (column("intended_ms")?, column("stream")?, column("outcome")?, column("latency_ms")?);
    // Older runs do not have the attempts.
    let (served_by, attempts) = (column("served_by"), column("attempts"));
    let mut records = Vec::new();
    for line in lines {
        let fields: Vec<_> = line.split(',').collect();
        let field = |column: Option<usize>| column.and_then(|column| fields.get(column)).copied();
        let due = fields.get(at)?.parse::<f64>().ok()? / 1e3;
        let outcome = *fields.get(outcome)?;
        // Requests during shutdown are not part of the run, and those that the load generator could not send
        // say nothing about the servers.
        if due > seconds || outcome == "cancelled" || outcome == "not_sent" {
            continue;
        }
        // A request without an answer at the end has no latency either.
        let latency = fields.get(latency)?.parse::<f64>().ok();
        let is_good = matches!(outcome, "ok" | "stale");
        if is_good && latency.is_none() {
            return None;
        }
        records.push(Record {
            traffic: (*fields.get(stream)?).to_owned(),
            due,
            done: (due + latency.unwrap_or(0.0) / 1e3).min(seconds),
            is_good,
            latency,
            server: field(served_by).unwrap_or_default().to_owned(),
            attempts: field(attempts).and_then(|attempts| attempts.parse().ok()).unwrap_or(1.0),
        });
    }
    Some(records)
}

/// Aggregates requests into bins.
pub fn series(records: &[Record], seconds: f64) -> Series {
    // The eye can tell about 240 bins apart.
    let width = (seconds / 240.0).clamp(0.1, 10.0);
    let bin = |moment: f64| (moment / width) as usize;
    let mut gathered: IndexMap<String, BTreeMap<usize, Gathered>> = IndexMap::new();
    for record in records {
        let bins = gathered.entry(record.traffic.clone()).or_default();
        bins.entry(bin(record.due)).or_default().offered += 1;
        if record.is_good {
            bins.entry(bin(record.due)).or_default().latencies.extend(record.latency);
            bins.entry(bin(record.done)).or_default().ok += 1;
        } else {
            bins.entry(bin(record.done)).or_default().failed += 1;
        }
    }
    let traffics = gathered.into_iter().map(|(name, bins)| (name, course(bins, width)));
    Series { width, traffics: traffics.collect() }
}

fn course(mut bins: BTreeMap<usize, Gathered>, width: f64) -> Course {
    let ends = bins.keys().next().copied().zip(bins.keys().last().copied());
    let Some((first, last)) = ends else { return Course::default() };
    let all = (first..=last).map(|index| bin_of(bins.remove(&index).unwrap_or_default(), width));
    Course { from: first as f64 * width, bins: all.collect() }
}

fn bin_of(Gathered { offered, ok, failed, mut latencies }: Gathered, width: f64) -> Bin {
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (share * latencies.len() as f64).ceil() as usize;
        latencies.get(index.saturating_sub(1)).copied()
    };
    let a_second = |count: usize| count as f64 / width;
    Bin {
        offered: a_second(offered),
        ok: a_second(ok),
        failed: a_second(failed),
        p99: at(0.99),
        p50: at(0.5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_gathered_by_traffic_and_time() {
        let text = "intended_ms,stream,outcome,status,latency_ms,lag_ms,served_by,cache\n\
                    10,shop,ok,200,5,0,,\n\
                    60,shop,refused,0,1,0,,\n\
                    120,shop,stale,200,9,0,,\n\
                    125,shop,not_sent,0,400,400,,\n\
                    130,probe,unfinished,,,,,\n";
        let records = records(text, 10.0).unwrap();
        assert_eq!(records.len(), 4, "what was not sent is no request");
        let series = series(&records, 10.0);
        assert_eq!(series.width, 0.1);
        let shop = &series.traffics["shop"].bins;
        let first = Bin { offered: 20.0, ok: 10.0, failed: 10.0, p99: Some(5.0), p50: Some(5.0) };
        assert_eq!(shop[0], first);
        assert_eq!((shop[1].ok, shop[1].failed, shop[1].p50), (10.0, 0.0, Some(9.0)));
        assert_eq!(series.traffics["probe"].from, 0.1, "before its first request there is nothing of it");
        assert_eq!(series.traffics["probe"].bins, [Bin { offered: 10.0, failed: 10.0, ..Bin::default() }]);
    }

    #[test]
    fn an_answer_counts_when_it_came_and_not_when_it_was_due() {
        let text = "intended_ms,stream,outcome,latency_ms\n10,shop,ok,250\n20,shop,timeout,190\n";
        let series = series(&records(text, 10.0).unwrap(), 10.0);
        let shop = &series.traffics["shop"].bins;
        let figures: Vec<_> = shop.iter().map(|bin| (bin.offered, bin.ok, bin.failed)).collect();
        assert_eq!(figures, [(20.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 10.0, 10.0)]);
        assert_eq!((shop[0].p50, shop[2].p50), (Some(250.0), None));
    }

    #[test]
    fn what_is_no_record_of_requests_is_refused() {
        assert!(records("", 1.0).is_none());
        assert!(records("a,b\n1,2", 1.0).is_none());
        assert!(records("intended_ms,stream,outcome,latency_ms\nsoon,shop,ok,5", 1.0).is_none());
    }
}
