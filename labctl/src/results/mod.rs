//! What is kept of a run: its directory, its document, and reading both again.

pub mod directory;
pub mod stored;
pub mod summary;

pub use directory::RunDirectory;
pub use summary::{Kept, Summary};
