//! The audit of an architecture: every component, machine and link, fault by fault, under traffic on
//! every path, and what each of them did to whom.
//!
//! ```text
//! paths ◇ ──traffic──> stage ──up, steady──> inspector ───a fault──> impact ◇ ──> matrix ◇
//! faults ◇ ────────────────────────────────────┘    └── repair, count what is lost
//! ```

/// What can go wrong: the faults of an architecture.
pub mod faults;
/// What a fault did to a path.
pub mod impact;
/// The architectures that come with the lab.
pub mod library;
/// Everything that was found, side by side.
pub mod matrix;
/// The paths through the shop.
pub mod paths;
/// An architecture that stands, with traffic on every path.
pub mod stage;

/// An audit: what is to be looked at, and what comes of it.
mod inspection;
/// One fault after the other.
mod inspector;

pub use faults::{Component, Fault, FaultKind, Scope, Selection};
pub use impact::{Class, Impact};
pub use inspection::{Inspection, QUICK_WITHIN, Told, WITHIN, audit};
pub(crate) use inspector::is_noticed;
pub use matrix::{Audit, Row};
pub use stage::Stage;
