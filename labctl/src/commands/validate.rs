//! `labctl validate FILE`: checks chapter files without running them.

use std::path::PathBuf;

use clap::Args;

use super::common::Common;
use super::{Performed, complain, say, say_document};
use chapter::{ChapterError, Source};
use lab::error::EXIT_USAGE;

/// Selects the files.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Chapter files, or names of built-in chapters.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Checks all given chapter files, and reports every mistake.
pub fn validate(args: &ValidateArgs, common: &Common) -> Performed {
    let (mut documents, mut is_valid) = (Vec::new(), true);
    for file in &args.files {
        let name = file.to_string_lossy();
        let checked = Source::open(&name, &[]);
        is_valid &= checked.is_ok();
        match (&checked, common.json) {
            (_, true) => documents.push(document(&name, &checked)),
            (Ok(source), false) => {
                let (steps, claims) = counts(source);
                say(format!("{name}: {steps} steps, {claims} claims, all in order"));
            }
            (Err(error), false) => complain(error),
        }
    }
    if common.json {
        say_document("validation", serde_json::json!({ "files": documents }))?;
    }
    Ok(if is_valid { 0 } else { EXIT_USAGE })
}

fn counts(source: &Source) -> (usize, usize) {
    let steps = &source.chapter.step;
    (steps.len(), steps.iter().map(|step| step.expect.len()).sum())
}

fn document(file: &str, checked: &Result<Source, ChapterError>) -> serde_json::Value {
    match checked {
        Ok(source) => {
            let (steps, claims) = counts(source);
            serde_json::json!({ "file": file, "valid": true, "steps": steps, "claims": claims, "mistakes": [] })
        }
        Err(error) => {
            let mistakes = error.mistakes().map(|(placed, message)| {
                let at = placed.map(|placed| (placed.line, placed.column)).unzip();
                serde_json::json!({ "line": at.0, "column": at.1, "message": message })
            });
            serde_json::json!({ "file": file, "valid": false, "mistakes": mistakes.collect::<Vec<_>>() })
        }
    }
}
