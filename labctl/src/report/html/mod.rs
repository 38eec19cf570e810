//! Reports as HTML: one self-contained file each. The pages are in `labctl/templates`.

/// A page about an audit.
mod audit_page;
/// A page about two runs.
mod compare_page;
/// A page about one run.
mod run_page;
/// A page about the measured table.
mod table_page;
/// The machines as a picture.
mod topology;

use std::path::Path;

use anyhow::Context;
use askama::Template;

pub use audit_page::audit_page;
pub use compare_page::compare_page;
pub use run_page::run_page;
pub use table_page::table_page;

/// Writes a page.
pub fn write(path: &Path, page: &str) -> anyhow::Result<()> {
    std::fs::write(path, page).with_context(|| format!("write {}", path.display()))
}

fn rendered(page: &impl Template) -> anyhow::Result<String> {
    page.render().context("make the page")
}
