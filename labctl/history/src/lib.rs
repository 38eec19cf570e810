//! What was asked of a database and what it answered, and what may be said about that: the record
//! of a run, and one judge per promise. Nothing here has a clock or a socket; a judge is a function
//! of a [`History`].
//!
//! A judge only speaks of what is certain. A call that timed out may have had its effect, may have
//! it later, or never; a judge assumes whatever excuses the database.

#![deny(clippy::disallowed_methods)]

pub mod ghost;
pub mod history;
pub mod inversions;
pub mod journal;
pub mod linearizable;
pub mod lost;
pub mod operation;
pub mod order;
pub mod sessions;
pub mod stale;
pub mod timeline;

#[cfg(test)]
mod testing;

pub use history::History;
pub use operation::{Action, Answer, At, Operation, Outcome, Read};
