//! An upstream: a server that requests are forwarded to, with its counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use http::HeaderValue;
use http::uri::Authority;
use machine::names::Name;
use machine::trace::{Span, TraceLabel};

use crate::choose::sticky::Pin;
use durations::Durations;
use outcome_tracker::{Admission, OutcomeTracker};

pub mod breaker;
/// A connection to an upstream.
pub mod connection;
/// Each thread's pool of idle connections.
pub mod connections;
/// Histograms of request durations.
pub mod durations;
/// The upstreams together with their active health checks.
pub mod fleet;
pub mod health;
/// Advances the table when no health check does.
pub mod keeper;
mod member;
/// Passive health checks: tracks how the requests to an upstream end.
pub mod outcome_tracker;
/// Active health checks.
pub mod prober;
pub mod rotation;
pub mod slow_start;
/// The published table: all upstreams, and those that may take a request.
pub mod table;

/// An upstream's name, address and weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Its name: letters, digits, `.`, `-`, `_`.
    pub name: String,
    /// `HOST:PORT`. A host name is looked up in the background.
    pub address: String,
    /// Its share of the requests, relative to the others: 1 to [`WEIGHT_MAX`].
    pub weight: u32,
}

/// The greatest weight.
pub const WEIGHT_MAX: u32 = 100;

/// A name or an address that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The text has no `=`.
    #[error("write it as NAME=HOST:PORT, or NAME=HOST:PORT;weight=3")]
    Shape,
    /// The name has other characters, is empty or is too long.
    #[error("a name has 1 to 64 letters, digits, '.', '-' or '_'")]
    Name,
    /// The address is not a host and a port.
    #[error("an address is HOST:PORT, with a port from 1 to 65535")]
    Address,
    /// The weight is not a number from 1 to [`WEIGHT_MAX`].
    #[error("a weight is a whole number from 1 to {WEIGHT_MAX}")]
    Weight,
}

impl Address {
    /// Checks both parts. The weight is 1.
    pub fn new(name: &str, address: &str) -> Result<Self, AddressError> {
        let nameable = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(nameable) {
            return Err(AddressError::Name);
        }
        let authority: Authority = address.parse().map_err(|_| AddressError::Address)?;
        let complete = !authority.host().is_empty() && authority.port_u16().is_some_and(|port| port > 0);
        if !complete || address.contains('@') {
            return Err(AddressError::Address);
        }
        Ok(Self { name: name.to_owned(), address: address.to_owned(), weight: 1 })
    }

    /// Sets the weight.
    pub fn with_weight(self, weight: u32) -> Result<Self, AddressError> {
        match weight {
            1..=WEIGHT_MAX => Ok(Self { weight, ..self }),
            _ => Err(AddressError::Weight),
        }
    }
}

/// A server that requests are forwarded to.
#[derive(Debug)]
pub struct Upstream {
    /// Unique among all upstreams there have been, even if a name is reused.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its address as configured: `HOST:PORT`.
    pub address: String,
    /// The same address, resolved in the background.
    pub way: Name,
    /// Its name as the value of `X-Served-By` in responses.
    pub served_by: HeaderValue,
    /// Its address as the `Host` of requests that named none (HTTP/1.0).
    pub host: HeaderValue,
    /// The cookie that binds clients to it, with the sticky policy.
    pub pin: Option<Pin>,
    outcomes: OutcomeTracker,
    counters: Counters,
    leaving: AtomicBool,
    sends_forbidden_bodies: AtomicBool,
}

/// How a request to an upstream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered in full, with a status of 200 to 299.
    Success,
    /// Answered in full, with a status of 300 to 399.
    Redirection,
    /// Answered in full, with a status of 400 to 499.
    ClientError,
    /// Answered in full, with a status of 500 or more.
    ServerError,
    /// No connection could be opened.
    ConnectFailed,
    /// No complete answer came in time.
    TimedOut,
    /// The response broke off or was malformed.
    Broken,
    /// The client went away, or its request was incomplete or malformed.
    Abandoned,
    /// The balancer ended it for a reason of its own: a shortage or a limit.
    Local,
}

impl Outcome {
    /// All outcomes, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
        Self::ConnectFailed,
        Self::TimedOut,
        Self::Broken,
        Self::Abandoned,
        Self::Local,
    ];

    /// Returns the outcome of a complete response with this status.
    pub fn answered(status: u16) -> Self {
        match status {
            ..300 => Self::Success,
            300..400 => Self::Redirection,
            400..500 => Self::ClientError,
            500.. => Self::ServerError,
        }
    }

    /// The label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::ConnectFailed => "connect_failed",
            Self::TimedOut => "timed_out",
            Self::Broken => "broken",
            Self::Abandoned => "abandoned",
            Self::Local => "local",
        }
    }
}

/// Counters of an upstream. Every request writes to them, so they share no cache line with data
/// that requests only read.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Counters {
    in_flight: AtomicU64,
    outcomes: [AtomicU64; Outcome::ALL.len()],
    durations: [Durations; Outcome::ALL.len()],
    ejections: AtomicU64,
}

impl Upstream {
    /// Creates an upstream without a history.
    pub fn new(id: u64, Address { name, address, .. }: Address, way: Name) -> Self {
        let value = |text: &str| HeaderValue::from_str(text).expect("names and addresses are checked ASCII");
        Self {
            id,
            served_by: value(&name),
            host: value(&address),
            name,
            address,
            way,
            pin: None,
            outcomes: OutcomeTracker::default(),
            counters: Counters::default(),
            leaving: AtomicBool::new(false),
            sends_forbidden_bodies: AtomicBool::new(false),
        }
    }

    /// Sets the sticky cookie and the outcome tracker.
    #[must_use]
    pub fn with(self, pin: Option<Pin>, outcomes: OutcomeTracker) -> Self {
        Self { pin, outcomes, ..self }
    }

    /// Counts a request in, unless this upstream is draining or has a trial request in flight.
    ///
    /// A drain sets `leaving` and then reads `in_flight`; a request increments `in_flight` and then
    /// reads `leaving`. So one of them always sees the other, and no request slips in behind a
    /// drain.
    pub fn enter(self: &Arc<Self>) -> Option<InFlight> {
        self.enter_by(|| self.outcomes.admit())
    }

    /// Counts a request in even during a trial, because no other upstream is left.
    pub fn enter_as_last_resort(self: &Arc<Self>) -> Option<InFlight> {
        self.enter_by(|| Some(Admission::Freely))
    }

    fn enter_by(self: &Arc<Self>, admit: impl FnOnce() -> Option<Admission>) -> Option<InFlight> {
        self.counters.in_flight.fetch_add(1, Ordering::SeqCst);
        let staying = !self.leaving.load(Ordering::SeqCst);
        let Some(admission) = staying.then(admit).flatten() else {
            self.counters.in_flight.fetch_sub(1, Ordering::SeqCst);
            return None;
        };
        let upstream = Arc::clone(self);
        Some(InFlight {
            upstream,
            outcome: Outcome::Abandoned,
            began: Instant::now(),
            admission,
            trace: None,
        })
    }

    /// Starts or stops turning requests away.
    pub fn set_leaving(&self, leaving: bool) {
        self.leaving.store(leaving, Ordering::SeqCst);
    }

    /// Requests that are in flight.
    pub fn in_flight(&self) -> u64 {
        self.counters.in_flight.load(Ordering::SeqCst)
    }

    /// Requests that ended with this outcome.
    pub fn ended(&self, outcome: Outcome) -> u64 {
        self.counters.outcomes[outcome as usize].load(Ordering::Relaxed)
    }

    /// Returns the durations of the requests with this outcome.
    pub fn durations(&self, outcome: Outcome) -> &Durations {
        &self.counters.durations[outcome as usize]
    }

    /// Requests counted in, finished or not.
    pub fn requests(&self) -> u64 {
        self.in_flight() + Outcome::ALL.iter().map(|outcome| self.ended(*outcome)).sum::<u64>()
    }

    /// Requests without a complete response by the upstream's fault.
    pub fn failed(&self) -> u64 {
        self.ended(Outcome::ConnectFailed) + self.ended(Outcome::TimedOut) + self.ended(Outcome::Broken)
    }

    /// How often it was ejected, by active or passive checks.
    pub fn ejections(&self) -> u64 {
        self.counters.ejections.load(Ordering::Relaxed)
    }

    /// Remembers that it sent a body where none is allowed, such as after a response to HEAD.
    pub fn note_forbidden_body(&self) {
        if !self.sends_forbidden_bodies.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                upstream = self.name,
                "it sends a body after HEAD, 204 or 304; its connections are no longer kept after these"
            );
        }
    }

    /// True if its connections cannot be reused after a response without a body.
    pub fn sends_forbidden_bodies(&self) -> bool {
        self.sends_forbidden_bodies.load(Ordering::Relaxed)
    }

    /// Counts an ejection.
    pub fn count_ejection(&self) {
        self.counters.ejections.fetch_add(1, Ordering::Relaxed);
    }
}

/// A request that is in flight at an upstream. Lives until the last byte of the response has been
/// passed on; dropping it counts the outcome.
#[derive(Debug)]
#[must_use = "the request is over when this is dropped"]
pub struct InFlight {
    /// The upstream that handles it.
    pub upstream: Arc<Upstream>,
    /// The outcome so far; initially the one of a client that went away.
    pub outcome: Outcome,
    /// When it was counted in.
    began: Instant,
    admission: Admission,
    /// Its trace, if tracing is on.
    trace: Option<Box<TraceLabel>>,
}

impl InFlight {
    /// Records its duration as an exemplar of this trace.
    pub fn is_traced(&mut self, span: &Span) {
        self.trace = Some(Box::new(span.context().into()));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let counters = &self.upstream.counters;
        counters.outcomes[self.outcome as usize].fetch_add(1, Ordering::Relaxed);
        let durations = &counters.durations[self.outcome as usize];
        match self.trace.take() {
            None => durations.observe(self.began.elapsed()),
            Some(trace) => durations.observe_traced(self.began.elapsed(), *trace),
        }
        self.upstream.outcomes.note(self.outcome, self.admission);
        counters.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream() -> Arc<Upstream> {
        let way = Name::from(std::net::SocketAddr::from(([127, 0, 0, 1], 80)));
        Arc::new(Upstream::new(1, Address::new("web-1", "h:80").unwrap(), way))
    }

    #[test]
    fn addresses_are_checked() {
        for good in ["127.0.0.1:80", "[::1]:80", "web-1.lab:8080"] {
            assert!(Address::new("web-1", good).is_ok(), "{good}");
        }
        for bad in ["", ":80", "127.0.0.1", "127.0.0.1:", "h:0", "h:65536", "h:80/x", "u@h:80", "h h:80"] {
            assert_eq!(Address::new("web-1", bad), Err(AddressError::Address), "{bad}");
        }
        for bad in ["", "a b", "a\"b", "ä", &"x".repeat(65)] {
            assert_eq!(Address::new(bad, "h:80"), Err(AddressError::Name), "{bad}");
        }
    }

    #[test]
    fn a_request_counts_from_entering_to_its_end() {
        let upstream = upstream();
        let mut request = upstream.enter().unwrap();
        assert_eq!((upstream.in_flight(), upstream.requests()), (1, 1));
        request.outcome = Outcome::Broken;
        drop(request);
        assert_eq!((upstream.in_flight(), upstream.requests(), upstream.failed()), (0, 1, 1));
    }

    #[test]
    fn nobody_enters_an_upstream_that_is_leaving() {
        let upstream = upstream();
        upstream.set_leaving(true);
        assert!(upstream.enter().is_none());
        assert_eq!((upstream.in_flight(), upstream.requests()), (0, 0));
    }
}
