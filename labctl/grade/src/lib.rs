//! Grades a student's own part: `labctl grade lb ./my-lb`, `labctl grade db ./my-db`.
//!
//! A grade is a list of stages (`grades/lb.toml`, `grades/db.toml`). Each one starts the part from scratch (a balancer
//! with small web servers behind it, a database as one node or three), acts on it, and checks the results; the file
//! says what to do and what to expect. Read [`stage`] for its format, [`act`] for how it is carried out, [`database`]
//! for both of a database, and [`run`] for the order of stages. A stage that fails while the computer is too busy is
//! repeated, and in the end counts as undecided: a busy computer never costs a point.

pub mod act;
pub mod backend;
pub mod client;
pub mod database;
pub mod field;
mod formats;
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
