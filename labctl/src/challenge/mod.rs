//! Challenges: tasks given in requests a second, latency, faults and dollars, and the judge of the architectures that
//! students write to solve them.
//!
//! ```text
//! solution ──workload──> the same work for all ──bill──> within the budget? ──capacity──> carries it?
//!                                                             ──audit──> survives, and loses nothing?
//! ```

mod judge;
mod task;
mod workload;

pub use judge::{Check, Judged, Outcome, Solution, judge, open};
pub use task::{Kept, Survives, Task};
pub use workload::{Item, total};
