//! The chapter language: machines, traffic, steps and claims, as a TOML file that reads like the article.
//!
//! Read [`act`] for the acts on a lab, [`step`] for what else a step may do, and [`expect`] for claims.
//! Nothing here knows a running lab, or its load generator.

pub mod act;
mod chapter;
pub mod chart;
mod check;
mod closed;
pub mod expect;
pub mod expression;
pub mod kind;
pub mod library;
mod limits;
pub mod machines;
pub mod map;
mod measurable;
pub mod measures;
mod mistake;
mod parse;
mod reading;
pub mod role;
pub mod settings;
mod source;
mod span;
mod spanned;
pub mod step;
pub mod suggest;
pub mod table;
pub mod traffic;
pub mod verbs;

pub use act::Act;
pub use chapter::Chapter;
pub use chart::Chart;
pub use expect::{Bound, Expect, Expected};
pub use machines::MachineEntry;
pub use mistake::{ChapterError, Placed};
pub use reading::Reading;
pub use settings::Setting;
pub use source::Source;
pub use span::Span;
pub use spanned::Spanned;
pub use step::Step;
pub use table::Table;
pub use traffic::Traffic;

/// The most keys with Zipf's distribution, whose table is kept in memory.
pub const ZIPF_KEYS_MAX: u64 = 1_000_000;

/// The highest rate of any traffic, in requests a second.
pub const RATE_MAX: f64 = 100_000.0;

/// The least memory of a machine; anything less is taken for a mistake.
pub const MEMORY_MIN: bytesize::ByteSize = bytesize::ByteSize::mib(1);
