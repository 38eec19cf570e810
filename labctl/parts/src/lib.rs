//! Other programs in the place of the lab's own: real ones, and a student's.
//!
//! A part is a program that stands in for `lb` or `dbnode`. What a known one can is data
//! (`known/haproxy.toml`); a student's own is asked (`--can`). Read [`needs`] for how a chapter's claims are
//! held against that: a claim about something that a part cannot do is skipped, with the reason.

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
