//! The audit of an architecture: injects faults into every component, machine and link, one at a time, under
//! traffic on every path, and records their impact.
//!
//! ```text
//! paths ──traffic──> stage ──up, steady──> auditor ───a fault──> watching ──> impact ──> matrix
//! faults ────────────────────────────────────┘ │                     └── strain: level, or overloaded
//!                                                └── repair, count what is lost ──> remarks
//! ```

/// What can go wrong: the faults of an architecture.
pub mod faults;
/// Classification of the impact on a path.
pub mod impact;
/// The built-in architectures.
pub mod library;
/// The result as a matrix.
pub mod matrix;
/// The paths through the shop.
pub mod paths;
/// A running architecture with traffic on every path.
pub mod stage;
/// Detection of overload in what is left.
pub mod strain;

/// The loop over the faults.
mod auditor;
/// The configuration and the entry point of an audit.
mod plan;
/// Explanations of losses, and other remarks on a fault.
mod remarks;
/// Observation of a fault.
mod watching;

pub(crate) use auditor::is_noticed;
pub use faults::{Component, Fault, FaultKind, Restarts, Scope, Selection};
pub use impact::{Class, Impact};
pub use matrix::{Audit, Row};
pub use plan::{AuditPlan, QUICK_WITHIN, WITHIN, audit};
pub use stage::Stage;
