//! `labctl report DIR`, `labctl compare A B`: stored runs as pages.

use std::path::{Path, PathBuf};

use clap::Args;

use super::common::Common;
use super::{Performed, say, say_document, with_files};
use crate::report::columns::width;
use crate::report::{compare_text, comparison, gallery, html};
use crate::results::stored;
use lab::error::{EXIT_FAILED, LabError};

/// Selects the run.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A run's directory, such as runs/split/latest; without it, a page of all stored runs.
    directory: Option<PathBuf>,

    /// Where the page goes [default: report.html in the run's directory, index.html for all runs].
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Selects two runs.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// A run's directory.
    first: PathBuf,
    /// Another run's directory, of the same chapter.
    second: PathBuf,

    /// Write a page as well.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// Writes the page of a run, or the index of all.
pub fn report(args: &ReportArgs, common: &Common) -> Performed {
    let path = match &args.directory {
        Some(directory) => {
            let path = args.html.clone().unwrap_or_else(|| directory.join("report.html"));
            write_page(directory, &path)?;
            path
        }
        None => {
            let runs = &common.site.runs_dir;
            let path = args.html.clone().unwrap_or_else(|| runs.join("index.html"));
            write_index(runs, &path)?;
            path
        }
    };
    if common.json {
        say_document("report", serde_json::json!({ "html": path }))?;
    } else {
        say(path.display());
    }
    Ok(0)
}

/// Writes the index of all runs, and the missing pages of runs.
fn write_index(runs: &Path, path: &Path) -> Result<(), LabError> {
    let mut listed = Vec::new();
    for directory in stored::all(runs) {
        // Runs written by other versions are left out.
        let Ok(run) = stored::run(&directory) else { continue };
        let page = directory.join("report.html");
        if !page.is_file() {
            write_page(&directory, &page)?;
        }
        // The index may be outside the runs' directory.
        let near = path.parent().is_some_and(|parent| parent == runs);
        let address =
            if near { page.strip_prefix(runs).unwrap_or(&page).to_owned() } else { absolute(&page) };
        listed.push(html::Listed { run, page: address.to_string_lossy().into_owned() });
    }
    if listed.is_empty() {
        let nothing =
            format!("there are no runs in {}: make one with `labctl run one-machine`", runs.display());
        return Err(LabError::NotReady(nothing));
    }
    Ok(html::write(path, &html::index_page(&listed)?)?)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Writes the page of a run's directory.
pub(super) fn write_page(directory: &Path, path: &Path) -> Result<(), LabError> {
    let run = stored::run(directory)?;
    Ok(html::write(path, &html::run_page(&run)?)?)
}

/// Compares two runs. Exits with 1 if a verdict differs.
pub fn compare(args: &CompareArgs, common: &Common) -> Performed {
    let comparison = gallery::compare(&args.first, &args.second)?;
    let page = |path: &PathBuf| Ok(html::write(path, &html::compare_page(&comparison)?)?);
    let written = args.html.as_ref().map_or(Ok(()), page);
    if common.json {
        say_document("comparison", serde_json::json!({ "comparison": comparison }))?;
    } else {
        compare_text::lines(&comparison, width()).into_iter().for_each(say);
    }
    let flipped = comparison.lines.iter().any(comparison::Line::has_flipped);
    with_files(if flipped { EXIT_FAILED } else { 0 }, written)
}
