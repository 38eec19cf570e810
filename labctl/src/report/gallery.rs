//! Stored runs, which the live page replays and compares, and the newest measured table.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::comparison::{self, Comparison};
use super::requests;
use super::windows::fault_windows;
use crate::results::stored;
use crate::table::article;
use chapter::Source;
use lab::error::LabError;

/// Number of runs listed, newest first.
const LISTED: usize = 200;

/// Compares the runs in two directories.
pub fn compare(first: &Path, second: &Path) -> Result<Comparison, LabError> {
    // A run of another version is said to be one before its other files are missed.
    let runs = (stored::run(first)?, stored::run(second)?);
    let texts = (stored::chapter_text(first)?, stored::chapter_text(second)?);
    comparison::compare((&runs.0, &texts.0), (&runs.1, &texts.1)).map_err(LabError::Usage)
}

/// The runs in a directory.
#[derive(Debug)]
pub struct Gallery {
    runs: PathBuf,
}

impl Gallery {
    /// Opens the runs in this directory.
    pub fn new(runs: PathBuf) -> Self {
        Self { runs }
    }
}

impl page::Results for Gallery {
    fn list(&self) -> Vec<Value> {
        let mut found: Vec<_> = stored::all(&self.runs)
            .into_iter()
            .filter_map(|directory| {
                Some((directory.file_name()?.to_string_lossy().into_owned(), stored::run(&directory).ok()?))
            })
            .collect();
        found.sort_by_key(|(_, document)| Reverse(document.began));
        let told = found.into_iter().take(LISTED).map(|(run, document)| {
            json!({ "chapter": document.chapter, "run": run, "title": document.title, "verdict": document.verdict,
                    "began": document.began, "seconds": document.seconds, "held": document.held(),
                    "claims": document.findings.claims.len() })
        });
        told.collect()
    }

    fn open(&self, chapter: &str, run: &str) -> Result<Value, LabError> {
        let directory = self.runs.join(chapter).join(run);
        let document = stored::run(&directory)?;
        let events = stored::events(&directory)?;
        let ended = document.findings.ended;
        let series = requests::series(&requests::read(&directory, ended)?, ended);
        let source = Source::open(&directory.join("chapter.toml").to_string_lossy(), &[])?;
        let faults = fault_windows(&events, ended);
        let faults = faults.iter().map(|fault| {
            json!({ "what": fault.what, "machine": fault.machine, "from": fault.from, "to": fault.to })
        });
        let events =
            events.iter().map(|event| json!({ "at": event.at, "event": event.event, "about": event.about }));
        let traffics = series.traffics.iter().map(|(name, course)| {
            let bins =
                course.bins.iter().map(|bin| json!([bin.offered, bin.ok, bin.failed, bin.p50, bin.p99]));
            (name.clone(), json!({ "from": course.from, "bins": bins.collect::<Vec<_>>() }))
        });
        Ok(json!({
            "chapter": chapter, "run": run, "title": document.title, "verdict": document.verdict,
            "began": document.began, "seconds": ended, "steps": document.findings.steps,
            "claims": document.findings.claims, "faults": faults.collect::<Vec<_>>(),
            "events": events.collect::<Vec<_>>(), "shape": page::shape(&source.chapter)?,
            "width": series.width, "traffics": traffics.collect::<serde_json::Map<_, _>>(),
        }))
    }

    fn compare(&self, chapter: &str, first: &str, second: &str) -> Result<Value, LabError> {
        let (first, second) = (self.runs.join(chapter).join(first), self.runs.join(chapter).join(second));
        let comparison = compare(&first, &second)?;
        let differences = comparison.differences.iter().map(|one| {
            let (first, second) = one.sides();
            json!({ "key": one.key, "first": first, "second": second })
        });
        let lines = comparison.lines.iter().map(|line| {
            json!({ "step": line.step, "claim": line.claim, "first": line.first_text(),
                    "second": line.second_text(), "change": line.change_text(), "flipped": line.has_flipped() })
        });
        Ok(json!({
            "title": comparison.title, "first": comparison.first, "second": comparison.second,
            "summary": comparison.summary(), "differences": differences.collect::<Vec<_>>(),
            "lines": lines.collect::<Vec<_>>(),
        }))
    }

    fn table(&self) -> Value {
        let file = self.runs.join("table/latest/table.json");
        let Ok(table) = stored::table(&file) else { return Value::Null };
        let rows = table.rows.iter().map(|row| {
            let article = article::row(row.number);
            json!({ "number": row.number, "name": row.name, "title": row.title, "rate": row.capacity.rate,
                    "ratio": row.ratio, "cost": row.cost, "single_points": row.single_points,
                    "left": row.left.rate, "without": row.left.without, "cells": row.cells,
                    "article": article.map(|row| json!({ "thousands": row.thousands,
                        "single_points": row.single_points, "cost": row.cost })) })
        });
        json!({ "began": table.began, "quick": table.quick, "p99_ms": table.p99_ms, "rows": rows.collect::<Vec<_>>() })
    }
}
