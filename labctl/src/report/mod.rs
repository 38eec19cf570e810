//! What people and programs read of a run.

pub mod directory;
pub mod junit;
pub mod summary;
pub mod terminal;

pub use directory::RunDirectory;
pub use summary::{RunSummary, Summary};
pub use terminal::Terminal;
