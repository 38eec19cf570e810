//! Reports of a run, for people and for programs.

pub mod audit_text;
pub mod charts;
pub mod claims_text;
pub mod columns;
pub mod compare_text;
pub mod comparison;
pub mod forge;
pub mod gallery;
pub mod geography;
pub mod html;
pub mod junit;
pub mod lanes;
pub mod otlp;
pub mod progress;
pub mod requests;
pub mod table_text;
pub mod tally;
pub mod terminal;
pub mod traces;
pub mod waterfall;
pub mod windows;

pub use progress::Progress;
pub use terminal::Terminal;
