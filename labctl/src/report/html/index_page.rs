//! A page over all runs that were kept.

use askama::Template;

use super::rendered;
use crate::report::tally::in_a_line;
use crate::runner::{RunDocument, Verdict};

/// A run, and where its page is, from the index on.
#[derive(Debug)]
pub struct Listed {
    /// The run.
    pub run: RunDocument,
    /// The address of its page.
    pub page: String,
}

#[derive(Template)]
#[template(path = "index.html")]
struct Page<'a> {
    runs: &'a [Listed],
}

/// The page, with the runs in the order in which they are given.
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
