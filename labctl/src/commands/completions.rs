//! `labctl completions SHELL`: prints the script that enables completion.

use std::io::Write;

use clap::Args;
use clap_complete::Shell;
use clap_complete::env::Shells;

use super::Performed;
use crate::output::Output;
use lab::error::LabError;

/// Selects the shell.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints the script that makes a shell ask labctl for completions.
pub fn completions(args: &CompletionsArgs) -> Performed {
    let name = args.shell.to_string();
    let shells = Shells::builtins();
    let shell = shells
        .completer(&name)
        .ok_or_else(|| LabError::Usage(format!("there are no completions for {name}")))?;
    let program =
        std::env::current_exe().map_or_else(|_| "labctl".into(), |path| path.to_string_lossy().into_owned());
    let mut script = Vec::new();
    shell
        .write_registration("COMPLETE", "labctl", "labctl", &program, &mut script)
        .map_err(anyhow::Error::from)?;
    // The reader may close the pipe early.
    let _ = Output.write_all(&script);
    Ok(0)
}
