//! `labctl completions SHELL`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Performed;
use crate::cli::Cli;
use crate::output::Output;

/// Which shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints completions.
pub fn completions(args: &CompletionsArgs) -> Performed {
    clap_complete::generate(args.shell, &mut Cli::command(), "labctl", &mut Output);
    Ok(0)
}
