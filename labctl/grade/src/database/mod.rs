//! Grades a database: its stages (`stage`), its nodes (`cluster`), and the acts on them (`act`).
//!
//! `ledger` remembers what was acknowledged and detects lost writes, `copies` checks copies against it, and `clients`
//! records the history that the crate `history` checks for linearizability.

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
