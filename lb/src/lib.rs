//! The load balancer: it accepts HTTP/1.1 requests, chooses an upstream for each, and passes the
//! answer back.
//!
//! Each core has a thread of its own with its own listening socket, its own connections to the
//! upstreams, and nothing to wait for from other threads. What they share is read-mostly: the
//! published [`Snapshot`](upstream::table::Snapshot) of upstreams, and one counter that keeps the
//! rotation exact. A request is one task's work from its first byte to its last: the thread that
//! reads it also speaks to the upstream, so nothing is handed over on the way.
//!
//! Read the modules in this order. The files marked ◇ decide and do nothing else.

/// The admin interface: see, add, drain and remove upstreams while requests flow.
pub mod admin;
/// Who may use the admin interface ◇.
pub mod admin_guard;
/// Buffers that wait for their next use.
pub mod buffers;
/// Which upstream takes the next request ◇.
pub mod choose;
/// One client's connection, from accept to close.
pub mod client;
/// The command line as written, and as used.
pub mod config;
/// An answer on its way down.
pub mod download;
/// What happened to the upstreams, for those who watch.
pub mod events;
/// The life of a request: choose, forward, perhaps retry, answer.
pub mod forward;
/// What is taken off a message and what is added to it on the way through ◇.
pub mod headers;
/// The listening sockets, one for each thread.
pub mod listen;
/// The counters as Prometheus reads them.
pub mod metrics;
/// Two balancers with one address between them.
pub mod pair;
/// The whole: threads, probers and admin interface, from start to drain.
pub mod proxy;
/// The balancer's own answers.
pub mod refusal;
/// When a request that failed may be sent to another upstream ◇.
pub mod retry;
/// What happens to those who find the house full.
pub mod shed;
/// What this side lacks to open a connection, which is no upstream's fault.
pub mod shortage;
/// Reading and writing, with an end to every wait.
pub mod stream;
/// How much upstreams are forgiven, as flags and as used.
pub mod tolerance;
/// Bytes in both directions, after HTTP.
pub mod tunnel;
/// A request on its way up.
pub mod upload;
/// The upstreams: who they are, whether they are well, and the connections to them.
pub mod upstream;
/// How long a client's connection may stay in each of its states.
pub mod watchdog;
/// HTTP/1.1 as it is on the wire ◇.
pub mod wire;
/// What one thread owns.
pub mod worker;

pub use config::{Args, Config};
pub use proxy::{Running, start, start_with_names};
