//! Drives a real browser as a student would: by keyboard, and reading what the screen shows.

#![allow(clippy::print_stdout, reason = "what is skipped and measured is said")]

/// A browser and its tabs.
pub mod browser;
/// A lab with its live page.
pub mod lab;

pub use browser::{Chrome, Tab};
pub use lab::PageLab;
