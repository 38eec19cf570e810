//! `labctl clean`: removes what labs and runs left on disk.

use clap::Args;

use super::common::Common;
use super::{Performed, say_note};
use lab::control;
use lab::error::LabError;
use lab::site;
use lab::state::State;

/// What to remove.
#[derive(Debug, Args)]
pub struct CleanArgs {
    /// Remove results as well: all stored runs and tables.
    #[arg(long)]
    runs: bool,
}

/// Removes what is left of a lab and, if requested, results, unless a lab is running. Directories that labctl
/// did not create are left alone.
pub async fn clean(clean: &CleanArgs, common: &Common) -> Performed {
    let args = &common.site;
    if let Some(state) = control::still_running(&args.lab_dir).await {
        let reason = format!("'{}' is running: end it with `labctl down` first", state.chapter);
        return Err(LabError::not_ready(reason));
    }
    let mut removed = Vec::new();
    let runs = clean.runs.then_some(&args.runs_dir);
    for directory in std::iter::once(&args.lab_dir).chain(runs) {
        if !site::is_own_directory(directory) {
            continue;
        }
        let lock = (directory == &args.lab_dir).then(|| site::lock(directory)).transpose()?;
        if lock.is_some() {
            State::sweep_all(directory)?;
        }
        std::fs::remove_dir_all(directory).map_err(|error| {
            LabError::not_ready(format!("cannot remove {}: {error}", directory.display()))
        })?;
        removed.push(directory.display().to_string());
    }
    match removed.is_empty() {
        true => say_note(common, "there is nothing to remove"),
        false => say_note(common, format!("removed {}", removed.join(" and "))),
    }
    if !clean.runs && site::is_own_directory(&args.runs_dir) {
        say_note(
            common,
            format!("results in {} are kept; --runs removes them, too", args.runs_dir.display()),
        );
    }
    Ok(0)
}
