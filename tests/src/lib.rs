//! What the tests of whole labs share: a lab of their own, and a look at what is running.

/// A request and its answer.
pub mod http;
/// A lab in a temporary directory, with addresses that no other test uses.
pub mod lab;
/// Processes, as the operating system shows them.
pub mod processes;
/// Waiting for a condition, with a limit.
pub mod wait;

pub use lab::Lab;
