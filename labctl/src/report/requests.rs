//! The requests of a stored run, read from its `requests.csv`, and gathered into short spans of time.

use std::path::Path;

use indexmap::IndexMap;

use crate::results::stored::incomplete;
use lab::error::LabError;

/// What became of the requests that were due in one short span.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bin {
    /// Good answers a second.
    pub ok: f64,
    /// Failed requests a second.
    pub failed: f64,
    /// The slowest percent of the good answers, in milliseconds. `None`: there were none.
    pub p99: Option<f64>,
    /// Their median.
    pub p50: Option<f64>,
}

/// The bins of every traffic that sent anything, each of `width` seconds.
#[derive(Debug, Default)]
pub struct Series {
    /// How many seconds a bin has.
    pub width: f64,
    /// From the run's begin on, by traffic.
    pub traffics: IndexMap<String, Vec<Bin>>,
}

/// Reads a run's requests.
pub fn read(directory: &Path, seconds: f64) -> Result<Series, LabError> {
    let text = std::fs::read_to_string(directory.join("requests.csv")).map_err(|_| incomplete(directory))?;
    series(&text, seconds).ok_or_else(|| incomplete(directory))
}

/// Gathers the lines of a `requests.csv`. `None`: it is not one.
fn series(text: &str, seconds: f64) -> Option<Series> {
    // Some 240 bins are as many as an eye can tell apart.
    let width = (seconds / 240.0).clamp(0.1, 10.0);
    let mut lines = text.lines();
    let header: Vec<_> = lines.next()?.split(',').collect();
    let column = |name: &str| header.iter().position(|known| *known == name);
    let (at, stream, outcome, latency) =
        (column("intended_ms")?, column("stream")?, column("outcome")?, column("latency_ms")?);
    let mut gathered: IndexMap<String, Vec<(Vec<f64>, usize)>> = IndexMap::new();
    for line in lines {
        let fields: Vec<_> = line.split(',').collect();
        let moment = fields.get(at)?.parse::<f64>().ok()? / 1e3;
        // What comes while everything is being stopped is no part of the story.
        if moment > seconds {
            continue;
        }
        let bin = (moment / width) as usize;
        let bins = gathered.entry((*fields.get(stream)?).to_owned()).or_default();
        if bins.len() <= bin {
            bins.resize(bin + 1, (vec![], 0));
        }
        match *fields.get(outcome)? {
            "ok" | "stale" => bins[bin].0.push(fields.get(latency)?.parse().ok()?),
            // The load generator could not send it: that says nothing of the servers.
            "cancelled" | "not_sent" => {}
            _ => bins[bin].1 += 1,
        }
    }
    let traffics = gathered.into_iter().map(|(name, bins)| {
        (name, bins.into_iter().map(|(latencies, failed)| bin_of(latencies, failed, width)).collect())
    });
    Some(Series { width, traffics: traffics.collect() })
}

fn bin_of(mut latencies: Vec<f64>, failed: usize, width: f64) -> Bin {
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (share * latencies.len() as f64).ceil() as usize;
        latencies.get(index.saturating_sub(1)).copied()
    };
    Bin { ok: latencies.len() as f64 / width, failed: failed as f64 / width, p99: at(0.99), p50: at(0.5) }
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
        let series = series(text, 10.0).unwrap();
        assert_eq!(series.width, 0.1);
        let shop = &series.traffics["shop"];
        assert_eq!(shop[0], Bin { ok: 10.0, failed: 10.0, p99: Some(5.0), p50: Some(5.0) });
        assert_eq!((shop[1].ok, shop[1].failed, shop[1].p50), (10.0, 0.0, Some(9.0)));
        assert_eq!(series.traffics["probe"][1], Bin { failed: 10.0, ..Bin::default() });
    }

    #[test]
    fn what_is_no_record_of_requests_is_refused() {
        assert!(series("", 1.0).is_none());
        assert!(series("a,b\n1,2", 1.0).is_none());
        assert!(series("intended_ms,stream,outcome,latency_ms\nsoon,shop,ok,5", 1.0).is_none());
    }
}
