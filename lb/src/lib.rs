//! The load balancer: it accepts HTTP/1.1 requests, chooses an upstream for each one, and passes
//! the response back.
//!
//! Each core has its own thread, with its own listening socket and its own connections to the
//! upstreams, and never waits for another thread. The shared state is read-mostly: the published
//! [`Snapshot`](upstream::table::Snapshot) of upstreams, and one counter that keeps the rotation
//! exact. One task handles a request from its first byte to its last: the thread that reads it also
//! talks to the upstream, so nothing is handed over between threads.
//!
//! The modules are listed in reading order. Files that begin with
//! `#![deny(clippy::disallowed_methods)]` are pure: they only decide.

/// Accepts connections, and sheds those over the limit.
pub mod accept;
/// The command line: [`Args`] as written, [`Config`] as checked.
pub mod config;
/// The listening sockets, one per thread.
pub mod listen;
/// Threads, health checks and the admin interface, from startup to drain.
pub mod server;

/// The request path.
pub mod proxy;
pub mod wire;

pub mod choose;
/// Shortages of local resources (files, ports, memory), which no upstream is to blame for.
pub mod shortage;
/// Passive health checks and retries: the flags, and the settings they stand for.
pub mod tolerance;
/// The upstreams: their health, which of them are in rotation, and the connections to them.
pub mod upstream;

/// A pair of balancers that share one address (VRRP).
pub mod pair;

/// The admin interface: list, add, drain and remove upstreams while requests flow.
pub mod admin;
pub mod admin_guard;
/// The event log: state changes of the upstreams and of this balancer.
pub mod events;
/// The counters in Prometheus format.
pub mod metrics;

pub use config::{Args, Config};
pub use server::{Running, start, start_with_names};
