//! The record of a run as a CSV file, one line per request.
#![deny(clippy::disallowed_methods)]

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;

use super::{Moment, Sample};

/// One request.
pub(super) struct Line {
    pub(super) intended: Moment,
    pub(super) stream: Arc<str>,
    /// `None` while there is no outcome, which a reader must be able to tell from a failure.
    pub(super) sample: Option<Sample>,
}

pub(super) fn write(mut lines: Vec<Line>, out: impl Write) -> io::Result<()> {
    lines.sort_by_key(|line| line.intended);
    let mut out = BufWriter::new(out);
    writeln!(out, "intended_ms,stream,outcome,status,latency_ms,lag_ms,served_by,cache,attempts")?;
    for line in &lines {
        let (intended, stream) = (milliseconds(line.intended), field(&line.stream));
        let Some(sample) = &line.sample else {
            writeln!(out, "{intended},{stream},unfinished,,,,,,")?;
            continue;
        };
        let (outcome, status, cache) = (sample.outcome.name(), sample.status, sample.cache.name());
        let (latency, lag) = (milliseconds(sample.latency), milliseconds(sample.lag));
        let served_by = field(sample.served_by.as_deref().unwrap_or_default());
        writeln!(
            out,
            "{intended},{stream},{outcome},{status},{latency},{lag},{served_by},{cache},{}",
            sample.attempts
        )?;
    }
    out.flush()
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64() * 1_000.0)
}

/// Quotes a field whose commas or quotes would otherwise shift the columns.
fn field(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CacheMark, Outcome, StreamId};
    use super::*;

    #[test]
    fn lines_are_in_order_and_hold_one_request_each() {
        let sample = Sample {
            stream: StreamId::default(),
            intended: Duration::from_millis(10),
            lag: Duration::from_micros(150),
            latency: Duration::from_micros(12_345),
            outcome: Outcome::Ok,
            status: 200,
            served_by: Some("web-1".into()),
            cache: CacheMark::Hit,
            attempts: 1,
        };
        let lines = vec![
            Line { intended: Duration::from_millis(20), stream: "a,\"b\"".into(), sample: None },
            Line { intended: sample.intended, stream: "shop".into(), sample: Some(sample) },
        ];
        let mut out = Vec::new();
        write(lines, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "intended_ms,stream,outcome,status,latency_ms,lag_ms,served_by,cache,attempts\n\
             10.000,shop,ok,200,12.345,0.150,web-1,hit,1\n\
             20.000,\"a,\"\"b\"\"\",unfinished,,,,,,\n"
        );
    }
}
