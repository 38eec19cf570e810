//! Tables that a run fills in: one measurement for each row and column.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Spanned;

/// A table as written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Table {
    /// What its figures are, with their unit.
    pub title: String,
    /// The names of its rows, often of steps.
    pub rows: Vec<String>,
    /// The names of its columns.
    pub columns: Vec<String>,
    /// What is measured for each cell: an expression in which `{row}` and `{column}` stand for their
    /// names.
    pub measure: Spanned<String>,
}

impl Table {
    /// The expression of one cell.
    pub fn cell(&self, row: &str, column: &str) -> String {
        self.measure.as_ref().replace("{row}", row).replace("{column}", column)
    }

    /// The expressions of all cells.
    pub fn cells(&self) -> impl Iterator<Item = String> {
        self.rows.iter().flat_map(move |row| self.columns.iter().map(move |column| self.cell(row, column)))
    }
}
