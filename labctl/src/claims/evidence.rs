//! The measurements that claims refer to: the newest run of each chapter, and the newest table.

use std::collections::BTreeMap;
use std::path::Path;

use crate::results::stored;
use crate::runner::Verdict;
use crate::table::MeasuredTable;
use chapter::library;
use lab::error::LabError;

/// All measurements.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Results of a chapter's claims, by `chapter#id`.
    pub runs: BTreeMap<String, Found>,
    /// The measured table.
    pub table: Option<MeasuredTable>,
    /// Newest results that cannot serve as evidence about the article, with the reason.
    pub passed_over: Vec<String>,
}

/// The result of one claim of a chapter.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// The verdict, by the chapter's own bounds.
    pub verdict: Verdict,
    /// The figure.
    pub measured: Option<f64>,
}

impl Evidence {
    /// Reads the newest results. Missing results are skipped; unreadable ones are an error.
    pub fn gather(runs: &Path, chapters: impl Iterator<Item = &'static str>) -> Result<Self, LabError> {
        let mut evidence = Self::default();
        for chapter in chapters {
            let newest = runs.join(chapter).join("latest");
            if !newest.exists() {
                continue;
            }
            let run = stored::run(&newest)?;
            if stored::chapter_text(&newest)? != library::text(chapter).unwrap_or_default() {
                evidence.passed_over.push(format!(
                    "the newest run of '{chapter}' was of a changed chapter, which says nothing of the article: run it as it is, with `labctl run {chapter}`"
                ));
                continue;
            }
            for claim in run.findings.claims {
                let Some(id) = claim.id else { continue };
                let found = Found { verdict: claim.verdict, measured: claim.measured };
                evidence.runs.insert(format!("{chapter}#{id}"), found);
            }
        }
        let table = runs.join("table").join("latest").join("table.json");
        if table.exists() {
            let table = stored::table(&table)?;
            match table.whole {
                true => evidence.table = Some(table),
                false => evidence.passed_over.push(
                    "the newest table was not the whole one at the lab's own prices: measure it with `labctl table`"
                        .into(),
                ),
            }
        }
        Ok(evidence)
    }
}
