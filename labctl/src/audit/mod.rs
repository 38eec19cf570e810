//! The audit of an architecture: every component, machine and link, fault by fault, under traffic on
//! every path, and what each of them did to whom.
//!
//! ```text
//! paths ──traffic──> stage ──up, steady──> inspector ──a fault──> watching ──> impact ──> matrix
//! faults ────────────────────────────────────┘ │                     └── strain: level, or overloaded
//!                                                └── repair, count what is lost ──> remarks
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
/// Whether what is left can carry the load.
pub mod strain;

/// An audit: what is to be looked at, and what comes of it.
mod inspection;
/// One fault after the other.
mod inspector;
/// Why something is lost, and what else there is to say of a fault.
mod remarks;
/// Watching what a fault does.
mod watching;

pub use faults::{Component, Fault, FaultKind, Restarts, Scope, Selection};
pub use impact::{Class, Impact};
pub use inspection::{Inspection, QUICK_WITHIN, WITHIN, audit};
pub(crate) use inspector::is_noticed;
pub use matrix::{Audit, Row};
pub use stage::Stage;
