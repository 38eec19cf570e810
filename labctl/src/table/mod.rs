//! The article's table, measured: for each architecture what it can bear, what it costs, which parts
//! take it down, what is left of it after any one failure, and how long it is away.
//!
//! ```text
//! capacity (search) ──┐
//! left after a kill ──┼──> row ──article──> verdict per cell
//! audit ──────────────┤
//! prices ───────────┘
//! ```

/// The cheapest architecture that does what is asked.
pub mod advice;
/// What the article says, and what is to be said of it.
pub mod article;
/// What machines cost.
pub mod prices;
/// One row, and the whole table, as data.
pub mod rows;

/// Climbing the ladder: the driver.
mod climb;
/// What an architecture can bear.
mod strength;

pub use climb::{Climb, climb};
pub use prices::Prices;
pub use rows::{LadderRow, LadderTable};
pub(crate) use strength::{Carried, Strongman};
