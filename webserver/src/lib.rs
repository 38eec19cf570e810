//! The shop: a web server over the database and a cache.
//!
//! With its sessions in Redis, a shop is stateless: any number of them can run side by side, and
//! any of them can die. A request passes through the modules in this order:
//!
//! ```text
//! server ──> app ──> admission ──> routes ─┬─> store ──> cache ──> (Redis)
//!                    count, shed,          │   read:     └──> database
//!                    hold memory,          │   cache, then database;
//!                    catch panics          │   write: database, then invalidate
//!                                          └─> sessions ──> (Redis)
//! ```
//!
//! The modules are listed in reading order.

/// The command line as written.
pub mod args;
/// The checked configuration.
pub mod config;
/// Listens, serves and drains.
pub mod server;

/// Logs one line per request, on request.
mod access_log;
/// What happens to every request before its handler.
pub mod admission;
/// The routes.
pub mod app;
/// The handlers, one file per resource.
pub mod routes;
/// The state that handlers share.
pub mod state;
/// Restricts access to health and metrics.
mod vitals_guard;

/// Redis: every call has a time limit, and none is made while Redis is gone.
pub mod redis;
/// Sessions: login and carts.
pub mod sessions;
/// The store: database and cache behind one interface.
pub mod store;

/// Error responses.
pub mod error;
/// Metrics.
pub mod metrics;

pub use args::Args;
pub use config::Config;
pub use error::Error;
pub use server::{Server, serve};
pub use state::Shop;
