//! The article, sentence by sentence: each that can be tested, what speaks for it and against it, and
//! whether that is still so.
//!
//! ```text
//! claims.toml ──> registry ──┐
//! runs/*/latest ──> evidence ──┴──> verdicts ──> report, exit code
//! ```

/// What was measured, as far as claims ask for it.
pub mod evidence;
/// The sentences, and what is bound to them.
pub mod registry;
/// What can be asked of a measured table.
pub mod table_measures;
/// What the evidence says of each sentence.
pub mod verdicts;

pub use evidence::Evidence;
pub use registry::{Claim, Registry};
pub use verdicts::{Judged, Standing};
