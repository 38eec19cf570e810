//! A part of one's own, graded: `labctl grade lb ./my-lb`, `labctl grade db ./my-db`.
//!
//! A grade is a list of stages (`grades/lb.toml`, `grades/db.toml`): for each one the part is started anew, a balancer
//! with small web servers behind it, a database as one node or three, and what is done and wanted stands in the file.
//! Read [`stage`] for that language, [`act`] for how it is carried out, [`database`] for both of a database, and
//! [`run`] for the order of things. A stage that fails on a computer that was too busy is
//! done again, and says nothing in the end: never a point is lost by that.

pub mod act;
pub mod backend;
pub mod client;
pub mod database;
pub mod field;
mod ground;
pub mod part;
pub mod processes;
pub mod report;
pub mod run;
pub mod stage;
pub mod starter;
pub mod tally;
pub mod watch;

pub use report::{Grade, Outcome, StageResult};
pub use run::{Wanted, grade};
pub use stage::{Kind, Stages};
