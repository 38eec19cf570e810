//! The node's metrics.

use std::time::SystemTime;

use machine::steps::Steps;
use machine::trace::{self, TraceLabel};
use machine::vitals::Vitals;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::exponential_buckets;
use tokio::time::Instant;

use crate::node::Node;
use crate::replication::role::Role;

/// A histogram of times, with an exemplar trace in each bucket when traces are recorded.
pub type Histogram = HistogramWithExemplars<TraceLabel>;

/// The node's metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Writes acknowledged.
    pub writes: Counter,
    /// Batches synced to the disk.
    pub syncs: Counter,
    /// Records read, individually or in lists.
    pub reads: Counter,
    /// Duration of writes, from the request to the acknowledgement.
    pub write_seconds: Histogram,
    /// Duration of reads of one record.
    pub read_seconds: Histogram,
    /// Duration of writing one batch to disk.
    pub sync_seconds: Histogram,
    refusals: Family<Refused, Counter>,
    /// Duration of single steps, during which nothing else runs: one thread does all the work
    /// except the disk's.
    pub steps: Steps,
}

/// The label of an error response.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    error: &'static str,
}

impl Metrics {
    /// Creates the metrics, and registers them for `/metrics`.
    pub fn new(vitals: &Vitals) -> Self {
        Self {
            writes: vitals.register("writes", "Writes acknowledged.", Counter::default()),
            syncs: vitals.register("syncs", "Batches of writes synced to the disk.", Counter::default()),
            reads: vitals.register("reads", "Reads of a record.", Counter::default()),
            write_seconds: seconds(vitals, "write", "Time from a write's headers to its outcome"),
            read_seconds: seconds(vitals, "read", "Time from a read's headers to its answer"),
            sync_seconds: seconds(vitals, "sync", "Time until a batch of writes is on the disk"),
            refusals: vitals.register("refusals", "Answers that are errors.", Family::default()),
            steps: Steps::new(vitals),
        }
    }

    /// Counts an error response.
    pub fn refused(&self, error: &'static str) {
        self.refusals.get_or_create(&Refused { error }).inc();
    }
}

/// Registers a histogram with buckets from 50 µs to 1.6 s, each bound twice the one before.
fn seconds(vitals: &Vitals, of: &str, help: &str) -> Histogram {
    vitals.register(&format!("{of}_seconds"), help, Histogram::new(exponential_buckets(0.000_05, 2.0, 16)))
}

/// A timer that records its lifetime in a histogram when it is dropped.
#[derive(Debug)]
#[must_use = "the time ends when this is dropped"]
pub struct Timed<'a> {
    histogram: &'a Histogram,
    began: Instant,
}

impl<'a> Timed<'a> {
    /// Starts the timer.
    pub fn begin(histogram: &'a Histogram) -> Self {
        Self { histogram, began: Instant::now() }
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let trace = trace::current().map(TraceLabel::from);
        let at = trace.is_some().then(SystemTime::now);
        self.histogram.observe(self.began.elapsed().as_secs_f64(), trace, at);
    }
}

/// Metrics of the core's state, collected on each scrape.
#[derive(Debug)]
pub struct RoleState(pub Node);

impl Collector for RoleState {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let (role, figures) = self.0.inspect(|core, _| {
            let figures = [
                ("term", "The newest term that this node knows", core.term()),
                ("last_index", "The last entry in this node's log", core.last_index()),
                (
                    "committed_index",
                    "The last entry that this node knows to be committed",
                    core.committed_index(),
                ),
                ("applied_index", "The last entry that this node has applied", core.state().applied()),
            ];
            (core.role(), figures)
        });
        let help = "1 while this node accepts writes";
        let primary = ConstGauge::new(i64::from(role == Role::Primary));
        primary.encode(encoder.encode_descriptor("primary", help, None, MetricType::Gauge)?)?;
        for (name, help, figure) in figures {
            let gauge = ConstGauge::new(i64::try_from(figure).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
