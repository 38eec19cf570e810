//! Distributed tracing: records, as spans, what one request costs at each hop. Tracing is off unless [`open`]
//! was called; a span then costs no more than reading an atomic.
//!
//! A span is a line of JSON in a file of this process: `trace`, `span`, `parent`, `program`, `name`, `start_us`
//! (since 1970), `us` (its duration), and any attributes. `labctl trace` merges the files of a lab.

mod context;
mod writer;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use serde::Serialize;

pub use context::{Context, TRACEPARENT, TRACEPARENT_BYTES};
use writer::Writer;

/// The writer of this process's spans.
static WRITER: OnceLock<Writer> = OnceLock::new();

tokio::task_local! {
    static CURRENT: Context;
}

/// Turns tracing on for this process; spans are written to `directory/PROGRAM.spans.jsonl`.
pub fn open(directory: &Path, program: &str) -> io::Result<()> {
    let writer = Writer::open(&directory.join(format!("{program}.spans.jsonl")), program)?;
    // Only the first call has an effect; it is made at startup.
    let _ = WRITER.set(writer);
    Ok(())
}

/// True if tracing is on.
pub fn is_on() -> bool {
    WRITER.get().is_some()
}

/// The context of the current task's span.
pub fn current() -> Option<Context> {
    is_on().then(|| CURRENT.try_with(|context| *context).ok()).flatten()
}

/// The label of a histogram's exemplar: the trace to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TraceLabel {
    trace_id: String,
}

impl From<Context> for TraceLabel {
    fn from(context: Context) -> Self {
        Self { trace_id: format!("{:032x}", context.trace) }
    }
}

/// A span in progress. It ends, and is recorded, when it is dropped.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped"]
pub struct Span {
    writer: &'static Writer,
    context: Context,
    parent: Option<u64>,
    name: String,
    began: Instant,
    about: BTreeMap<&'static str, String>,
}

/// A span in the form in which it is recorded.
#[derive(Debug, Serialize)]
struct Record<'a> {
    trace: String,
    span: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    program: &'a str,
    name: &'a str,
    start_us: u64,
    us: u64,
    #[serde(flatten)]
    about: &'a BTreeMap<&'static str, String>,
}

impl Span {
    /// Starts a span for a request with this header, or without one; `None` if tracing is off.
    pub fn of_request(traceparent: Option<&[u8]>, name: impl FnOnce() -> String) -> Option<Self> {
        Self::begin(traceparent.and_then(Context::parse), name)
    }

    /// Starts a child of the current span; `None` if tracing is off or there is no current span.
    pub fn within_current(name: impl FnOnce() -> String) -> Option<Self> {
        Self::begin(Some(current()?), name)
    }

    /// Starts a child of this span.
    pub fn child(&self, name: impl FnOnce() -> String) -> Option<Self> {
        Self::begin(Some(self.context), name)
    }

    fn begin(parent: Option<Context>, name: impl FnOnce() -> String) -> Option<Self> {
        let writer = WRITER.get()?;
        let trace = parent.map_or_else(|| writer.new_trace(), |parent| parent.trace);
        let context = Context { trace, span: writer.new_span(), sampled: true };
        let parent = parent.map(|parent| parent.span);
        Some(Self { writer, context, parent, name: name(), began: Instant::now(), about: BTreeMap::new() })
    }

    /// Its identity.
    pub fn context(&self) -> Context {
        self.context
    }

    /// Sets an attribute. Each key may be set once.
    pub fn say(&mut self, key: &'static str, value: impl ToString) {
        self.about.insert(key, value.to_string());
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let micros = |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let record = Record {
            trace: format!("{:032x}", self.context.trace),
            span: format!("{:016x}", self.context.span),
            parent: self.parent.map(|parent| format!("{parent:016x}")),
            program: self.writer.program(),
            name: &self.name,
            start_us: micros(self.writer.since_1970(self.began)),
            us: micros(self.began.elapsed()),
            about: &self.about,
        };
        if let Ok(mut line) = serde_json::to_vec(&record) {
            line.push(b'\n');
            self.writer.write(line);
        }
    }
}

/// Runs work within a span, if there is one: spans started in it become its children.
pub async fn within<T>(span: Option<&Span>, work: impl Future<Output = T>) -> T {
    match span {
        Some(span) => CURRENT.scope(span.context, work).await,
        None => work.await,
    }
}

/// Carries the current span into a task that is about to be spawned.
pub fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let context = current();
    async move {
        match context {
            Some(context) => CURRENT.scope(context, work).await,
            None => work.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// A single test, because a process has one file.
    #[tokio::test]
    async fn spans_of_a_request_hang_together() {
        assert!(Span::of_request(None, || "nothing".into()).is_none(), "it is off");
        let directory = tempfile::tempdir().expect("a directory");
        open(directory.path(), "test").expect("it can be made");
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut span = Span::of_request(Some(header.as_bytes()), || "GET /".into()).expect("it is on");
        span.say("status", 200);
        within(Some(&span), async {
            let inner = Span::within_current(|| "cpu".into()).expect("there is a current one");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            drop(inner);
            let carried = carried(async { current() });
            assert_eq!(tokio::spawn(carried).await.expect("it ends"), Some(span.context()));
        })
        .await;
        assert_eq!(current(), None, "outside there is none");
        drop(span);

        let path = directory.path().join("test.spans.jsonl");
        let read = || std::fs::read_to_string(&path).unwrap_or_default();
        let until = Instant::now() + std::time::Duration::from_secs(10);
        while read().lines().count() < 2 {
            assert!(Instant::now() < until, "{}", read());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let lines: Vec<Value> =
            read().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let (inner, outer) = (&lines[0], &lines[1]);
        assert_eq!((&outer["parent"], &outer["status"]), (&"00f067aa0ba902b7".into(), &"200".into()));
        assert_eq!((&inner["trace"], &inner["parent"]), (&outer["trace"], &outer["span"]));
        assert!(inner["us"].as_u64() >= Some(5_000) && outer["us"].as_u64() >= inner["us"].as_u64());
        assert!(inner["start_us"].as_u64() >= outer["start_us"].as_u64());
    }
}
