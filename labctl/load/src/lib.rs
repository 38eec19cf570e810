//! Traffic, open-loop: arrivals are scheduled ahead and sent when they are due, whether or not
//! earlier ones were answered, and latency counts from the moment a request was *meant* to be
//! sent. A generator that waits for answers slows down with the server and then reports that all
//! is well.
//!
//! ```text
//!  set_rate ──> pacer thread ──due arrivals──> sender thread ──HTTP──> target
//!               (Schedule)                   (Client, Connections)
//!                    └────────── Recorder ───────────┘ ──> Window
//! ```
//!
//! Two threads, because each would disturb the other: the pacer sleeps until the next arrival,
//! to a tenth of a millisecond, and a runtime's timers are ten times coarser.
//!
//! Nothing here judges. Windows of samples are handed to whoever does.

// The running thing, and the thread that keeps time.
mod generator;
mod pacer;

// When, how many, and what.
mod arrivals;
mod keys;
mod rate;
mod requests;

// One request, and what became of it.
mod cache_mark;
mod client;
mod connections;
mod cookies;
mod history;
mod outcome;
mod retry;
mod sample;

// The record.
mod book;
mod csv;
mod recorder;

// The figures made of it.
mod latencies;
mod live;
mod window;

// Finding the highest rate that meets an objective: which rate is next, and trying it.
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

/// One stream of traffic: where to, what, and how its arrivals are spaced.
#[derive(Debug, Clone)]
pub struct Stream {
    /// What reports call it.
    pub name: String,
    /// Who is asked.
    pub target: SocketAddr,
    /// What is asked for.
    pub requests: RequestMix,
    /// How arrivals are spaced.
    pub arrivals: Arrivals,
    /// The patience of one request: connecting, waiting and reading the answer together. Of one that is
    /// repeated, that of each attempt.
    pub timeout: Duration,
    /// Whether an asker that was not answered well asks again. Each arrival is an asker, however often it asks.
    pub retry: Option<Retry>,
    /// The patience of opening one connection.
    pub connect_timeout: Duration,
    /// The dice of its arrivals and keys: the same seed asks for the same keys at the same spacing.
    pub seed: u64,
    /// Requests without an answer at one time; an arrival beyond is recorded as cancelled, and
    /// not sent.
    pub in_flight_max: usize,
    /// What a good answer contains. Without it, its status is enough.
    pub contains: Option<String>,
    /// What its requests do to the database's records, when that is to be judged.
    pub recorded: Option<Recorded>,
}

impl Stream {
    /// A stream with the usual patience: 5 s for a request, 2 s for a connection, 10 000 in flight.
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

    /// How long an asker waits at most, all its attempts together.
    pub fn patience(&self) -> Duration {
        self.retry.map_or(self.timeout, |retry| retry.patience(self.timeout))
    }
}
