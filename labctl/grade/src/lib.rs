//! A part of one's own, graded: `labctl grade lb ./my-lb`.
//!
//! A grade is a list of stages (`grades/lb.toml`): for each one the part is started anew, with small web servers
//! behind it, and what is done and wanted stands in the file. Read [`stage`] for that language, [`act`] for how
//! it is carried out, and [`run`] for the order of things. A stage that fails on a computer that was too busy is
//! done again, and says nothing in the end: never a point is lost by that.

pub mod act;
pub mod backend;
pub mod client;
pub mod field;
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
