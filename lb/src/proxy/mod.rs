//! The request path. A request goes down this page: its connection reads it, `forward` chooses an upstream
//! for it and perhaps another, `exchange` sends it and passes the answer back, `respond` writes the
//! balancer's own answers. All of it happens in one task of one thread.

/// One client's connection, from accept to close.
pub mod connection;
/// An answer on its way down.
pub mod download;
/// A request, its answer, and one connection to an upstream.
pub mod exchange;
/// The life of a request: choose an upstream, forward, perhaps retry, answer.
pub mod forward;
/// The balancer's own answers, written to a client.
pub mod respond;
/// Bytes in both directions, after the protocol was switched.
pub mod tunnel;
/// A request's body on its way up.
pub mod upload;

/// What a request keeps from one try to the next.
mod attempt;
/// What belongs to one client's connection.
pub mod client;
/// One request, and what its client's connection is worth after it.
pub mod request;
/// What one thread owns.
pub mod worker;

pub mod headers;
pub mod local_reply;
pub mod retry;
/// Load shedding: connections over the limit get 503 at once.
pub mod shed;
/// How long a client's connection may stay in each of its states.
pub mod watchdog;

/// Buffers that wait for their next use.
pub mod buffers;
/// What the threads count together.
pub mod counters;
/// Reading and writing, with an end to every wait.
pub mod stream;
