//! `labctl completions SHELL`

use std::io::Write;

use clap::Args;
use clap_complete::Shell;

use super::Performed;
use crate::cli;
use crate::output::Output;

/// Which shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints completions.
pub fn completions(args: &CompletionsArgs) -> Performed {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), "labctl", &mut script);
    // Nobody may read it to its end.
    let _ = Output.write_all(&script);
    Ok(0)
}
