//! Reads stored results: a run's directory, a measured table. Other versions and incomplete results are
//! rejected with an explanation.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::runner::{RUN_SCHEMA, RunDocument};
use crate::table::MeasuredTable;
use crate::table::rows::SCHEMA as TABLE_SCHEMA;
use lab::error::LabError;
use load::{CacheMark, Outcome};

/// A prediction and the measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredGuess {
    /// The question.
    pub ask: String,
    /// The prediction; `None` if none was made.
    pub guessed: Option<f64>,
    /// The measured value.
    pub measured: Option<f64>,
    /// The unit of both.
    pub unit: String,
    /// Whether the prediction was right; `None` in runs that did not keep it.
    #[serde(default)]
    pub right: Option<bool>,
}

/// The file in a run's directory with the predictions.
pub const GUESSES: &str = "guesses.json";

/// One event of a run.
#[derive(Debug, Clone, Deserialize)]
pub struct StoredEvent {
    /// Time in seconds since the run began.
    pub at: f64,
    /// The kind of event.
    pub event: String,
    /// Its other fields.
    #[serde(flatten)]
    pub about: serde_json::Map<String, serde_json::Value>,
}

/// One request of a run.
#[derive(Debug, Clone)]
pub struct StoredRequest {
    /// Intended send time in seconds.
    pub at: f64,
    /// The traffic it belongs to.
    pub traffic: String,
    /// Its outcome; `None` if it is not known.
    pub outcome: Option<Outcome>,
    /// Time from the intended send time to the end of the answer, free of coordinated omission.
    pub latency: Duration,
    /// What its answer said about a cache.
    pub cache: CacheMark,
}

/// Reads a run's directory.
pub fn run(directory: &Path) -> Result<RunDocument, LabError> {
    if directory.extension().is_some_and(|ending| ending == "partial") {
        return Err(incomplete(directory));
    }
    if !directory.is_dir() {
        return Err(LabError::Usage(format!(
            "{} is not a run's directory: they are in runs/<chapter>/, and `latest` is the newest there",
            directory.display()
        )));
    }
    let file = directory.join("summary.json");
    if directory.join("table.json").is_file() {
        return Err(LabError::Usage(format!(
            "{0} is a measured table, not a run: its page is {0}/report.html",
            directory.display()
        )));
    }
    if !file.is_file() {
        return Err(incomplete(directory));
    }
    let mut run: RunDocument = document(&file, RUN_SCHEMA, "run the chapter again with `labctl run`")?;
    run.directory = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    Ok(run)
}

/// Reads the predictions made before a run (`--predict`). Most runs have none.
pub fn guesses(directory: &Path) -> Vec<StoredGuess> {
    let text = std::fs::read_to_string(directory.join(GUESSES)).ok();
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Lists the directories of all stored runs by chapter, newest first.
pub fn all(runs: &Path) -> Vec<PathBuf> {
    let inside = |directory: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        // `latest` is a link to one of them.
        let mut found: Vec<_> = entries.map(|entry| entry.path()).filter(|path| !path.is_symlink()).collect();
        found.sort();
        found
    };
    let runs_of = |chapter: &PathBuf| inside(chapter).into_iter().rev();
    inside(runs).iter().flat_map(runs_of).filter(|run| run.join("summary.json").is_file()).collect()
}

/// Returns the text of a run's chapter as it was run.
pub fn chapter_text(directory: &Path) -> Result<String, LabError> {
    std::fs::read_to_string(directory.join("chapter.toml")).map_err(|_| incomplete(directory))
}

/// Reads a measured table.
pub fn table(file: &Path) -> Result<MeasuredTable, LabError> {
    document(file, TABLE_SCHEMA, "measure again with `labctl table`")
}

/// Reads the events of a run.
pub fn events(directory: &Path) -> Result<Vec<StoredEvent>, LabError> {
    let file = directory.join("events.jsonl");
    let text = std::fs::read_to_string(&file).map_err(|_| incomplete(directory))?;
    text.lines().map(|line| serde_json::from_str(line).map_err(|_| incomplete(directory))).collect()
}

pub(crate) fn incomplete(directory: &Path) -> LabError {
    LabError::Usage(format!(
        "{} is only half of a run: it was interrupted while it was written, or something was removed; run the chapter again with `labctl run`",
        directory.display()
    ))
}

/// Reads a document with this schema version.
fn document<T: DeserializeOwned>(file: &Path, wanted: &str, what_to_do: &str) -> Result<T, LabError> {
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| LabError::NotReady(format!("cannot read {name} ({error}): {what_to_do}")))?;
    let half = || LabError::Usage(format!("{name} is only half of a document: {what_to_do}"));
    let document: serde_json::Value = serde_json::from_str(&text).map_err(|_| half())?;
    match document["schema"].as_str() {
        Some(version) if version == wanted => serde_json::from_value(document).map_err(|_| half()),
        Some(version) => Err(LabError::Usage(format!(
            "{name} is of version '{version}', and this labctl reads '{wanted}': {what_to_do}"
        ))),
        None => Err(LabError::Usage(format!(
            "{name} does not name its version, and this labctl reads '{wanted}': {what_to_do}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(directory: &Path) -> String {
        let error = run(directory).expect_err("it should be refused");
        assert_eq!(error.code(), 2);
        error.to_string()
    }

    #[test]
    fn a_run_that_was_interrupted_is_refused() {
        let runs = tempfile::tempdir().unwrap();
        let partial = runs.path().join("2026.partial");
        std::fs::create_dir(&partial).unwrap();
        assert!(refused(&partial).contains("is only half of a run"));
        let empty = runs.path().join("2027");
        std::fs::create_dir(&empty).unwrap();
        assert!(refused(&empty).contains("is only half of a run"));
    }

    #[test]
    fn a_table_is_not_taken_for_half_of_a_run() {
        let table = tempfile::tempdir().unwrap();
        std::fs::write(table.path().join("table.json"), "{}").unwrap();
        assert!(refused(table.path()).contains("is a measured table, not a run"));
    }

    #[test]
    fn a_summary_that_breaks_off_is_refused() {
        let run = tempfile::tempdir().unwrap();
        std::fs::write(run.path().join("summary.json"), "{\"schema\": \"scaling-lab/ru").unwrap();
        assert!(refused(run.path()).contains("summary.json is only half of a document"));
    }

    #[test]
    fn another_version_is_named() {
        let run = tempfile::tempdir().unwrap();
        std::fs::write(run.path().join("summary.json"), "{\"schema\": \"scaling-lab/run/9\"}").unwrap();
        let sentence = refused(run.path());
        assert!(sentence.contains("is of version 'scaling-lab/run/9', and this labctl reads"), "{sentence}");
    }

    #[test]
    fn what_is_no_run_at_all_is_refused() {
        assert!(refused(Path::new("/nowhere/at/all")).contains("is not a run's directory"));
    }
}
