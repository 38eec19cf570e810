//! The article's table, measured: for each architecture its capacity, its cost, its single points of failure,
//! what is left of it after any one failure, and its longest outage.
//!
//! ```text
//! capacity (search) ──┐
//! left after a kill ──┼──> row ──article──> verdict per cell
//! audit ──────────────┤
//! prices ───────────┘
//! ```

/// The cheapest architecture that meets given needs.
pub mod advice;
/// The article's figures, and the verdicts on them.
pub mod article;
/// The price sheet.
pub mod prices;
/// The rows and the whole table as data.
pub mod rows;

/// The driver that measures all rows.
mod measure;
/// The capacity of one architecture.
mod meter;

pub use measure::{TableRun, measure_table};
pub(crate) use meter::{CapacityMeter, Carried};
pub use prices::Prices;
pub use rows::{MeasuredTable, TableRow};
