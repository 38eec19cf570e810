//! What is counted.

use machine::steps::Steps;
use machine::vitals::Vitals;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// What is counted.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Writes acknowledged.
    pub writes: Counter,
    /// Batches synced to the disk.
    pub syncs: Counter,
    /// Records read, one by one or in lists.
    pub reads: Counter,
    refusals: Family<Refused, Counter>,
    /// How long one step holds up everything else: one thread does all the work but the disk's.
    pub steps: Steps,
}

/// What an answer that is an error says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    error: &'static str,
}

impl Metrics {
    /// Counters that begin at zero and show on `/metrics`.
    pub fn new(vitals: &Vitals) -> Self {
        Self {
            writes: vitals.register("writes", "Writes acknowledged.", Counter::default()),
            syncs: vitals.register("syncs", "Batches of writes synced to the disk.", Counter::default()),
            reads: vitals.register("reads", "Reads of a record.", Counter::default()),
            refusals: vitals.register("refusals", "Answers that are errors.", Family::default()),
            steps: Steps::new(vitals),
        }
    }

    /// One more answer that is an error.
    pub fn refused(&self, error: &'static str) {
        self.refusals.get_or_create(&Refused { error }).inc();
    }
}
