//! What the tests of whole labs share: a lab of their own, and a look at what is running.

/// Steps of workflow files.
pub mod ci;
/// A request and its answer.
pub mod http;
/// A lab in a temporary directory, with addresses that no other test uses.
pub mod lab;
/// Processes, as the operating system shows them.
pub mod processes;
/// Documents, held against their schemas.
pub mod schemas;
/// Waiting for a condition, with a limit.
pub mod wait;

pub use lab::Lab;

/// Where the project's files are.
pub fn project() -> std::path::PathBuf {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("it is below the project").to_owned()
}
