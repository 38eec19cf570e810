//! Helpers for tests of whole labs: a lab per test, and a view of running processes.

/// Steps of workflow files.
pub mod ci;
/// A minimal HTTP client.
pub mod http;
/// A lab in a temporary directory, with addresses that no other test uses.
pub mod lab;
/// Processes, as the operating system shows them.
pub mod processes;
/// Validation of documents against their schemas.
pub mod schemas;
/// Waiting for a condition, with a limit.
pub mod wait;

pub use lab::Lab;

/// Returns the project's directory.
pub fn project() -> std::path::PathBuf {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("it is below the project").to_owned()
}
