//! Stored results: a run's directory and document, written and read back.

pub mod directory;
pub mod stored;
pub mod summary;

pub use directory::RunDirectory;
pub use summary::{Kept, Summary};
