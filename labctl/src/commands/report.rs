//! `labctl report DIR`, `labctl compare A B`: runs that were kept, as pages.

use std::path::{Path, PathBuf};

use clap::Args;

use super::common::Common;
use super::{Performed, say, say_document, with_files};
use crate::report::{comparison, html};
use crate::results::stored;
use lab::error::{EXIT_FAILED, LabError};

/// Which run.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A run's directory, such as runs/split/latest.
    directory: PathBuf,

    /// Where the page goes [default: report.html in the run's directory].
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Which two runs.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// A run's directory.
    first: PathBuf,
    /// Another one's, of the same chapter.
    second: PathBuf,

    /// Write a page as well.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Makes a page of a run.
pub fn report(args: &ReportArgs, common: &Common) -> Performed {
    let path = args.html.clone().unwrap_or_else(|| args.directory.join("report.html"));
    write_page(&args.directory, &path)?;
    if common.json {
        say_document("report", serde_json::json!({ "html": path }))?;
    } else {
        say(path.display());
    }
    Ok(0)
}

/// Makes a page of a run's directory.
pub(super) fn write_page(directory: &Path, path: &Path) -> Result<(), LabError> {
    let run = stored::run(directory)?;
    Ok(html::write(path, &html::run_page(&run)?)?)
}

/// Lays two runs side by side. Exits with 1 when a verdict differs.
pub fn compare(args: &CompareArgs, common: &Common) -> Performed {
    let (first, second) = (stored::run(&args.first)?, stored::run(&args.second)?);
    let comparison = comparison::compare(&first, &second).map_err(LabError::Usage)?;
    let page = |path: &PathBuf| Ok(html::write(path, &html::compare_page(&comparison)?)?);
    let written = args.html.as_ref().map_or(Ok(()), page);
    if common.json {
        say_document("comparison", serde_json::json!({ "comparison": comparison }))?;
    } else {
        say(format!("{}\nA: {}\nB: {}\n", comparison.title, comparison.first, comparison.second));
        for line in &comparison.lines {
            say(format!("{} ({})", line.claim, line.step));
            say(format!("    {}   {}   {}", line.first_text(), line.second_text(), line.change_text()));
        }
    }
    let flipped = comparison.lines.iter().any(comparison::Line::has_flipped);
    with_files(if flipped { EXIT_FAILED } else { 0 }, written)
}
