//! `labctl man DIR`: writes the manual pages.

use std::path::PathBuf;

use clap::Args;

use super::{Performed, say};
use crate::cli;
use lab::error::LabError;

/// Selects the output directory.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The directory, such as ~/.local/share/man/man1. It is made if it is missing.
    directory: PathBuf,
}

/// Writes a manual page for labctl, and one for each command.
pub fn man(args: &ManArgs) -> Performed {
    let command = cli::command().disable_help_subcommand(true);
    let written = std::fs::create_dir_all(&args.directory)
        .and_then(|()| clap_mangen::generate_to(command, &args.directory));
    let failed = |error| {
        LabError::Usage(format!("cannot write manual pages into {}: {error}", args.directory.display()))
    };
    written.map_err(failed)?;
    say(format!("{}: man labctl, man labctl-run, …", args.directory.display()));
    Ok(0)
}
