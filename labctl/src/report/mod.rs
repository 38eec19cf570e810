//! What people and programs read of a run.

pub mod audit_progress;
pub mod audit_text;
pub mod claims_text;
pub mod directory;
pub mod junit;
pub mod progress;
pub mod stored;
pub mod summary;
pub mod table_text;
pub mod terminal;

pub use directory::RunDirectory;
pub use progress::Progress;
pub use summary::{RunSummary, Summary};
pub use terminal::Terminal;
