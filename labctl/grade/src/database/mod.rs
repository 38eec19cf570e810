//! A database of one's own, graded: its stages (`stage`), its nodes (`cluster`), and what is done to them.
//!
//! `ledger` remembers what was acknowledged and says what is lost, `copies` holds copies against it, and
//! `clients` makes the record that `history` judges for linearizability.

mod act;
pub mod call;
mod clients;
pub mod cluster;
mod copies;
pub mod ledger;
pub mod stage;
mod writers;

pub use cluster::Cluster;
pub use stage::Act;
