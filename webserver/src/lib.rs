//! The shop: a web server over the database and a cache.
//!
//! With its sessions in Redis it keeps nothing that another one of its kind would miss: any number
//! of them can stand side by side, and any of them can die. A request goes down this page:
//!
//! ```text
//! server ──> app ──> admission ──> routes ─┬─> store ──> cache ──> (Redis)
//!                    count, shed,          │   read:     └──> database
//!                    hold memory,          │   cache, then database;
//!                    catch panics          │   write: database, then invalidate
//!                                          └─> sessions ──> (Redis)
//! ```
//!
//! Read the modules in this order.

/// The command line as written.
pub mod args;
/// The command line as used.
pub mod config;
/// From an address to a serving process, and its end.
pub mod server;

/// A line for each request, where it is wanted.
mod access_log;
/// What every request goes through before its handler.
pub mod admission;
/// Which path leads where.
pub mod app;
/// One file for each thing that can be asked for.
pub mod routes;
/// What a handler has at hand.
pub mod state;
/// Who sees health and counters.
mod vitals_guard;

/// Redis: asked within limits, and left alone while it is gone.
pub mod redis;
/// Who is logged in, and what is in their carts.
pub mod sessions;
/// The only door to data.
pub mod store;

/// What a request is told when it does not get what it asked for.
pub mod error;
/// What is counted.
pub mod metrics;

pub use args::Args;
pub use config::Config;
pub use error::Error;
pub use server::{Server, serve};
pub use state::Shop;
