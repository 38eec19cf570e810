//! The record of a database run, and consistency checkers (judges) for it: one judge per guarantee. Nothing
//! here has a clock or a socket; a judge is a function of a [`History`].
//!
//! A judge reports only what is certain. A call that timed out may have taken effect, may do so later, or
//! never; a judge assumes whatever exonerates the database.

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
