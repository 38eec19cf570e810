//! The article, sentence by sentence: each testable sentence, the evidence for and against it, and whether it
//! still stands.
//!
//! ```text
//! claims.toml ──> registry ──┐
//! runs/*/latest ──> evidence ──┴──> verdicts ──> report, exit code
//! ```

/// The measurements that claims refer to.
pub mod evidence;
/// The sentences with their evidence.
pub mod registry;
/// The measures of a table.
pub mod table_measures;
/// The verdict on each sentence.
pub mod verdicts;

pub use evidence::Evidence;
pub use registry::{Claim, Registry};
pub use verdicts::{Judged, Standing};
