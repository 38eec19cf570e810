//! The index page of all stored runs.

use askama::Template;

use super::rendered;
use crate::report::tally::in_a_line;
use crate::runner::{RunDocument, Verdict};

/// A run with the address of its page.
#[derive(Debug)]
pub struct Listed {
    /// The run.
    pub run: RunDocument,
    /// The address of its page, as the index links to it.
    pub page: String,
}

#[derive(Template)]
#[template(path = "index.html")]
struct Page<'a> {
    runs: &'a [Listed],
}

/// Renders the page, with the runs in the given order.
pub fn index_page(runs: &[Listed]) -> anyhow::Result<String> {
    rendered(&Page { runs })
}

impl Page<'_> {
    fn verdict(&self, run: &RunDocument) -> &'static str {
        match run.verdict {
            Verdict::Holds => "holds",
            Verdict::Fails => "fails",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Skipped => "skipped",
        }
    }

    fn claims(&self, run: &RunDocument) -> String {
        in_a_line(&run.findings.claims)
    }
}
