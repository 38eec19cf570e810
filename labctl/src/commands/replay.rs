//! `labctl replay DIR`: repeats a stored run with the same chapter and seed.

use std::path::{Path, PathBuf};

use clap::Args;

use super::common::Common;
use super::{Performed, run};
use crate::results::stored;
use chapter::Source;
use lab::error::LabError;
use lab::interrupt::Interrupt;

/// Selects the run.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A run's directory, such as runs/split/latest.
    directory: PathBuf,
}

/// Repeats a run. The seed yields the same arrivals and keys, and the chapter's text the same faults at the
/// same moments.
pub async fn replay(args: &ReplayArgs, common: &Common, interrupt: &Interrupt) -> Performed {
    let before = stored::run(&args.directory)?;
    let file = before.directory.join("chapter.toml");
    let text = std::fs::read_to_string(&file)
        .map_err(|error| LabError::Usage(format!("cannot read {}: {error}", file.display())))?;
    // Keeps the chapter's name, although the file in the run's directory has another one.
    let source = Source::parse(Path::new(&format!("{}.toml", before.chapter)), &text, &[])?;
    run::run_sources(&[source], &run::RunArgs::again(&before), common, interrupt).await
}
