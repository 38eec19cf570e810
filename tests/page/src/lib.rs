//! A real browser, driven as a student uses it: by keyboard, and read as the screen shows it.

#![allow(clippy::print_stdout, reason = "what is skipped and measured is said")]

/// The browser, and a tab in it.
pub mod browser;
/// A lab with its page.
pub mod lab;

pub use browser::{Chrome, Tab};
pub use lab::PageLab;
