//! What was asked of a database and what it answered, and what may be said about that: the record
//! of a run, and one judge per promise. Nothing here has a clock or a socket; a judge is a function
//! of a [`History`].
//!
//! A judge only speaks of what is certain. A call that timed out may have had its effect, may have
//! it later, or never; a judge assumes whatever excuses the database.

#![deny(clippy::disallowed_methods)]

/// Writes that were refused, and are there all the same ◇.
pub mod ghost;
/// The operations of one run ◇.
pub mod history;
/// A new value, and after it an older one, to anybody ◇.
pub mod inversions;
/// A history as a file: one line per operation ◇.
pub mod journal;
/// Is there an order of the operations that explains every answer? ◇
pub mod linearizable;
/// Acknowledged writes that are not there in the end ◇.
pub mod lost;
/// One operation: what was asked, and what came of it ◇.
pub mod operation;
/// Which write a value comes from, and which write is surely newer ◇.
pub mod order;
/// What a session may expect: its own writes, and no way back ◇.
pub mod sessions;
/// Reads of what had been overwritten, and how long before ◇.
pub mod stale;
/// A few operations as a picture ◇.
pub mod timeline;

#[cfg(test)]
mod testing;

pub use history::History;
pub use operation::{Action, Answer, At, Operation, Outcome, Read};
