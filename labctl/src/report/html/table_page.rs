//! The page of the measured table.

use askama::Template;

use super::audit_page::matrix;
use super::{rendered, unbroken};
use crate::audit::Audit;
use crate::report::table_text;
use crate::table::MeasuredTable;
use crate::table::rows::{Says, TableRow};

#[derive(Template)]
#[template(path = "table.html")]
struct Page<'a> {
    table: &'a MeasuredTable,
    audits: Vec<Part<'a>>,
}

/// One architecture's audit.
struct Part<'a> {
    audit: &'a Audit,
    matrix: String,
}

/// Renders the page.
pub fn table_page(table: &MeasuredTable, audits: &[Audit]) -> anyhow::Result<String> {
    let audits = audits.iter().map(|audit| Ok(Part { audit, matrix: matrix(audit)? }));
    rendered(&Page { table, audits: audits.collect::<anyhow::Result<_>>()? })
}

impl Page<'_> {
    fn name(&self, row: &TableRow) -> String {
        unbroken(&row.name)
    }

    fn points(&self, row: &TableRow) -> String {
        unbroken(&row.single_points.join(", "))
    }

    fn interval(&self, row: &TableRow) -> String {
        unbroken(&table_text::interval(row))
    }

    fn ratio(&self, row: &TableRow) -> String {
        row.ratio.map_or("–".into(), |ratio| format!("{ratio:.1}"))
    }

    fn left(&self, row: &TableRow) -> String {
        unbroken(&table_text::left(row))
    }

    fn lost(&self, row: &TableRow) -> String {
        table_text::lost(row)
    }

    fn back(&self, row: &TableRow) -> String {
        row.recovery_seconds.map_or("–".into(), |seconds| format!("{seconds:.1} s"))
    }

    /// Renders the article's figure and the verdict as a label. It consists of numbers and fixed words only,
    /// so it needs no escaping.
    fn verdict(&self, row: &TableRow, column: &str) -> String {
        let Some(cell) = row.cells.get(column) else { return String::new() };
        let (class, word) = match cell.says {
            Says::Confirmed => ("confirmed", "as in the article"),
            Says::Refuted => ("refuted", "not as in the article"),
            Says::NotJudged => ("not_judged", "not judged"),
        };
        let article = cell.article.unwrap_or_default();
        format!("<span class=\"tag {class}\">{word}: {article:.0}</span>")
    }
}
