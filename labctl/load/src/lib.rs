//! An open-loop load generator: arrivals are scheduled ahead and sent when they are due, whether or not
//! earlier requests were answered. Latency counts from the moment a request was *meant* to be sent. A
//! closed-loop generator waits for answers, slows down with the server, and then reports that all is well
//! (coordinated omission).
//!
//! ```text
//!  set_rate ──> pacer thread ──due arrivals──> sender thread ──HTTP──> target
//!               (Schedule)                   (Client, Connections)
//!                    └────────── Recorder ───────────┘ ──> Window
//! ```
//!
//! Two threads, because each would disturb the other: the pacer sleeps until the next arrival with a
//! precision of a tenth of a millisecond, and a runtime's timers are ten times coarser.
//!
//! Nothing here judges: callers get windows of samples.

// The running generator, and its pacer thread.
mod generator;
mod pacer;

// The schedule, the keys, the rate and the requests.
mod arrivals;
mod keys;
mod rate;
mod requests;

// One request and its outcome.
mod cache_mark;
mod client;
mod connections;
mod cookies;
mod history;
mod outcome;
mod retry;
mod sample;

// The record of all requests.
mod csv;
mod recorder;
mod request_log;

// The figures computed from the record.
mod latencies;
mod live;
mod window;

// The search for the highest rate that meets an objective, and the trial of one rate.
mod capacity;
mod probe;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

pub use arrivals::Arrivals;
pub use cache_mark::CacheMark;
pub use capacity::{CapacityEstimate, Search, Trial};
pub use cookies::Cookies;
pub use generator::Generator;
pub use history::{HistoryLog, Recorded, RecordedAction, Sessions};
pub use keys::Keys;
pub use latencies::Latencies;
pub use live::LiveFigures;
pub use outcome::Outcome;
pub use probe::{CapacitySearch, Found, InvalidTraffic, Objective, Tried, add_probe, find_capacity, probe};
pub use rate::Rate;
pub use recorder::{Recorder, Unsettled};
pub use requests::{InvalidRequests, RequestMix};
pub use retry::Retry;
pub use sample::{Sample, StreamId};
pub use window::Window;

/// A moment of a run: the time since its origin.
pub type Moment = Duration;

/// One stream of traffic: its target, its requests, and the spacing of its arrivals.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Its name in reports.
    pub name: String,
    /// The address to which requests are sent.
    pub target: SocketAddr,
    /// The requests.
    pub requests: RequestMix,
    /// The spacing of its arrivals.
    pub arrivals: Arrivals,
    /// The timeout of one attempt: connecting, waiting and reading the answer together.
    pub timeout: Duration,
    /// The retry policy of a user whose request failed. Each arrival is one user, however often it retries.
    pub retry: Option<Retry>,
    /// The timeout of opening one connection.
    pub connect_timeout: Duration,
    /// The random seed of its arrivals and keys: the same seed sends the same keys at the same spacing.
    pub seed: u64,
    /// The most requests in flight; an arrival beyond that is recorded as cancelled, and not sent.
    pub in_flight_max: usize,
    /// A text that a good answer contains. Without it, the status is enough.
    pub contains: Option<String>,
    /// The meaning of its requests as database operations, if they are to be checked.
    pub recorded: Option<Recorded>,
}

impl Stream {
    /// Creates a stream with the usual limits: 5 s for a request, 2 s for a connection, 10 000 in flight.
    pub fn new(name: impl Into<String>, target: SocketAddr, requests: RequestMix) -> Self {
        Self {
            name: name.into(),
            target,
            requests,
            arrivals: Arrivals::Poisson,
            timeout: Duration::from_secs(5),
            retry: None,
            connect_timeout: Duration::from_secs(2),
            seed: 0,
            in_flight_max: 10_000,
            contains: None,
            recorded: None,
        }
    }

    /// The longest a user waits, all attempts together.
    pub fn patience(&self) -> Duration {
        self.retry.map_or(self.timeout, |retry| retry.patience(self.timeout))
    }
}
