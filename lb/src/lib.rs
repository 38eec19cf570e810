//! The load balancer: it accepts HTTP/1.1 requests, chooses an upstream for each, and passes the
//! answer back.
//!
//! Each core has a thread of its own with its own listening socket, its own connections to the
//! upstreams, and nothing to wait for from other threads. What they share is read-mostly: the
//! published [`Snapshot`](upstream::table::Snapshot) of upstreams, and one counter that keeps the
//! rotation exact. A request is one task's work from its first byte to its last: the thread that
//! reads it also speaks to the upstream, so nothing is handed over on the way.
//!
//! The modules stand in the order in which they are best read. Files that begin with
//! `#![deny(clippy::disallowed_methods)]` decide, and do nothing else.

/// Accepting connections, and refusing those over the limit.
pub mod accept;
/// The command line, as written and as used.
pub mod config;
/// The listening sockets, one for each thread.
pub mod listen;
/// Threads, health checks and admin interface, from start to drain.
pub mod server;

/// The request path.
pub mod proxy;
pub mod wire;

pub mod choose;
/// What this side lacks to open a connection, which is no upstream's fault.
pub mod shortage;
/// Passive checks and retries: the flags, and what they mean.
pub mod tolerance;
/// The upstreams: their health, who is in rotation, and the connections to them.
pub mod upstream;

/// Two balancers with one address between them.
pub mod pair;

/// The admin interface: see, add, drain and remove upstreams while requests flow.
pub mod admin;
pub mod admin_guard;
/// What happened to the upstreams, as a list of events.
pub mod events;
/// The counters as Prometheus reads them.
pub mod metrics;

pub use config::{Args, Config};
pub use server::{Running, start, start_with_names};
