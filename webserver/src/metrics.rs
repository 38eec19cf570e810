//! The metrics that `/metrics` shows.

use std::time::SystemTime;

use axum::extract::{MatchedPath, Request};
use http::{Method, StatusCode};
use machine::trace::{Span, TraceLabel};
use machine::vitals::Vitals;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::exponential_buckets;
use tokio::time::Instant;

/// The shop's counters. Cheap to clone; the clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<ResponseLabels, Counter>,
    seconds: Family<RequestLabels, HistogramWithExemplars<TraceLabel>>,
    in_flight: Gauge,
    /// Requests shed because too many were in flight.
    pub shed: Counter,
    /// Handlers that panicked.
    pub panics: Counter,
    /// Reads, by the place that the answer came from.
    pub answers: Family<CacheLabels, Counter>,
    /// Reads that waited for another reader's database query instead of making their own
    /// (single-flight).
    pub coalesced: Counter,
    /// Reads sent to the database.
    pub database_reads: Counter,
    /// Writes sent to the database.
    pub database_writes: Counter,
    /// Calls to the database that failed.
    pub database_failures: Counter,
    /// Reads rejected because too many bypassed the cache at a time.
    pub bypass_refused: Counter,
    /// Sessions that began.
    pub logins: Counter,
    /// Sessions ended by their visitor.
    pub logouts: Counter,
    /// Requests without a known session.
    pub sessions_unknown: Counter,
    /// Requests whose session could not be looked up.
    pub sessions_unavailable: Counter,
}

/// The Redis metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RedisMetrics {
    /// Calls that failed.
    pub failures: Counter,
    /// Connections to a primary.
    pub connects: Counter,
    breaker: Family<StateLabels, Gauge>,
    writes: Family<StateLabels, Gauge>,
    refusals: Family<RefusalLabels, Counter>,
}

/// The word that a refusal of Redis began with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    word: &'static str,
}

/// A state of the breaker, or of how Redis takes writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// Method and route of a request. Routes, not paths: their number is bounded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
}

/// Method and route of a request, and the class of its status.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    method: &'static str,
    route: String,
    class: &'static str,
}

/// Where an answer came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CacheLabels {
    /// The kind of cache.
    pub cache: &'static str,
    /// The source, as in `X-Cache`.
    pub from: &'static str,
}

impl Metrics {
    /// Counters at zero, published by `vitals`.
    pub fn new(vitals: &Vitals) -> Self {
        let counter = |name, help| vitals.register(name, help, Counter::default());
        Self {
            requests: vitals.register(
                "requests",
                "Requests by route and class of answer; 'gone' when the client left before it",
                Family::default(),
            ),
            seconds: vitals.register(
                "request_seconds",
                "Time from a request's headers to its answer",
                Family::new_with_constructor(|| {
                    HistogramWithExemplars::new(exponential_buckets(0.0005, 2.0, 16))
                }),
            ),
            in_flight: vitals.register("in_flight", "Requests in flight", Gauge::default()),
            shed: counter("shed", "Requests shed because too many were in flight"),
            panics: counter("panics", "Handlers that panicked"),
            answers: vitals.register("reads", "Reads by where the answer came from", Family::default()),
            coalesced: counter("reads_coalesced", "Reads that waited for another read of the same key"),
            database_reads: counter("database_reads", "Reads sent to the database"),
            database_writes: counter("database_writes", "Writes sent to the database"),
            database_failures: counter("database_failures", "Calls to the database that failed"),
            bypass_refused: counter("bypass_refused", "Reads shed because too many bypassed the cache"),
            logins: counter("logins", "Sessions that began"),
            logouts: counter("logouts", "Sessions that were ended by their visitor"),
            sessions_unknown: counter("sessions_unknown", "Requests without a session that is known"),
            sessions_unavailable: counter(
                "sessions_unavailable",
                "Requests whose session could not be looked up or changed",
            ),
        }
    }

    /// Counts a request in; dropping the tally counts it out.
    pub fn request_began(&self, request: &Request) -> Tally<'_> {
        let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str);
        Tally {
            metrics: self,
            labels: RequestLabels { method: method_name(request.method()), route: route.to_owned() },
            began: Instant::now(),
            others: self.in_flight.inc(),
            status: None,
            trace: None,
        }
    }
}

impl RedisMetrics {
    /// Counters at zero, published by `vitals`.
    pub fn new(vitals: &Vitals) -> Self {
        Self {
            failures: vitals.register("redis_failures", "Calls to Redis that failed", Counter::default()),
            connects: vitals.register("redis_connects", "Connections to a primary", Counter::default()),
            breaker: vitals.register(
                "redis_breaker",
                "1 for the state of the breaker: 'closed' lets requests through",
                Family::default(),
            ),
            writes: vitals.register(
                "redis_writes",
                "1 for how Redis takes writes: 'accepted'; 'full', nothing new; 'refused'; 'unknown', without a connection",
                Family::default(),
            ),
            refusals: vitals.register(
                "redis_refusals",
                "Calls that Redis refused, by the word of the refusal",
                Family::default(),
            ),
        }
    }

    /// Sets the state of how Redis takes writes.
    pub fn set_write_state(&self, at: &'static str) {
        for state in ["accepted", "full", "refused", "unknown"] {
            self.writes.get_or_create(&StateLabels { state }).set((state == at).into());
        }
    }

    /// Counts a refused call.
    pub fn refused(&self, word: &'static str) {
        self.refusals.get_or_create(&RefusalLabels { word }).inc();
    }

    /// Sets the state of the breaker.
    pub fn set_breaker_state(&self, at: &'static str) {
        for state in ["closed", "open", "half-open"] {
            self.breaker.get_or_create(&StateLabels { state }).set((state == at).into());
        }
    }
}

/// One request in flight.
#[derive(Debug)]
pub struct Tally<'a> {
    metrics: &'a Metrics,
    labels: RequestLabels,
    began: Instant,
    others: i64,
    status: Option<StatusCode>,
    trace: Option<TraceLabel>,
}

impl Tally<'_> {
    /// Requests that were in flight when this one arrived.
    pub fn others_in_flight(&self) -> u32 {
        u32::try_from(self.others).unwrap_or_default()
    }

    /// Records its duration as an exemplar of its trace.
    pub fn is_traced(&mut self, span: &Span) {
        self.trace = Some(span.context().into());
    }

    /// Notes the status of the response.
    pub fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        let (seconds, trace) = (self.began.elapsed().as_secs_f64(), self.trace.take());
        let at = trace.is_some().then(SystemTime::now);
        self.metrics.seconds.get_or_create(&self.labels).observe(seconds, trace, at);
        let RequestLabels { method, route } = self.labels.clone();
        let class = self.status.map_or("gone", class);
        self.metrics.requests.get_or_create(&ResponseLabels { method, route, class }).inc();
    }
}

/// Methods are free text on the wire; labels must be a bounded set.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
