//! The request path, in the order a request takes it: `connection` reads the request, `forward` chooses an
//! upstream (and another one for a retry), `exchange` sends it and passes the response back, `respond`
//! writes the balancer's own replies. All of it happens in one task on one thread.

/// A client's connection, from accept to close.
pub mod connection;
/// Passes a response from the upstream to the client.
pub mod download;
/// One exchange: a request and its response over one upstream connection.
pub mod exchange;
/// The life of a request: choose an upstream, forward, retry if allowed, respond.
pub mod forward;
/// Writes the balancer's own replies to a client.
pub mod respond;
/// Copies bytes in both directions after a protocol switch.
pub mod tunnel;
/// Passes a request's body from the client to the upstream.
pub mod upload;

/// State that a request keeps from one attempt to the next.
mod attempt;
/// State of one client connection.
pub mod client;
/// One request, and what happens to its connection afterwards.
pub mod request;
/// State owned by one worker thread.
pub mod worker;

pub mod headers;
pub mod local_reply;
pub mod retry;
/// Load shedding: connections over the limit get 503 at once.
pub mod shed;
/// Timeouts for each phase of a client's connection.
pub mod watchdog;

/// A per-thread pool of buffers.
pub mod buffers;
/// Counters shared by all threads.
pub mod counters;
/// Socket reads and writes that the watchdog can time out.
pub mod stream;
