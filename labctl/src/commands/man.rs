//! `labctl man DIR`: writes the manual pages.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::{Performed, say};
use crate::cli;

/// Selects the output directory.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// An existing directory, such as ~/.local/share/man/man1.
    directory: PathBuf,
}

/// Writes a manual page for labctl, and one for each command.
pub fn man(args: &ManArgs) -> Performed {
    let command = cli::command().disable_help_subcommand(true);
    let written = clap_mangen::generate_to(command, &args.directory);
    written.with_context(|| format!("write manual pages into {}", args.directory.display()))?;
    say(format!("{}: man labctl, man labctl-run, …", args.directory.display()));
    Ok(0)
}
