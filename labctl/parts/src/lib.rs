//! Other programs in place of the lab's own: real ones, and a student's.
//!
//! A part is a program that stands in for `lb` or `dbnode`. The abilities of a known part are data
//! (`known/haproxy.toml`); a student's part is asked for them (`--can`). Read [`needs`] for how a chapter's claims are
//! checked against them: a claim that depends on a missing ability is skipped, with the reason.

pub mod ability;
pub mod cast;
pub mod databases;
pub mod find;
pub mod known;
pub mod needs;
pub mod own;
pub mod swap;

pub use ability::{Abilities, Ability};
pub use cast::{Cast, PartError};
pub use known::{Kind, Known};
pub use needs::Skips;
pub use swap::Swap;
