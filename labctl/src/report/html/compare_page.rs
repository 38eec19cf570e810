//! The page that compares two runs.

use askama::Template;

use super::rendered;
use crate::report::comparison::{Comparison, Difference};

#[derive(Template)]
#[template(path = "compare.html")]
struct Page<'a> {
    title: &'a str,
    first: &'a str,
    second: &'a str,
    differences: &'a [Difference],
    rows: Vec<Line<'a>>,
}

/// One claim in both runs.
struct Line<'a> {
    claim: &'a str,
    step: &'a str,
    first: String,
    second: String,
    change: String,
}

/// Renders the page.
pub fn compare_page(comparison: &Comparison) -> anyhow::Result<String> {
    let rows = comparison.lines.iter().map(|line| Line {
        claim: &line.claim,
        step: &line.step,
        first: line.first_text(),
        second: line.second_text(),
        change: line.change_text(),
    });
    rendered(&Page {
        title: &comparison.title,
        first: &comparison.first,
        second: &comparison.second,
        differences: &comparison.differences,
        rows: rows.collect(),
    })
}
