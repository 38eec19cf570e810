//! The picture that explains a chapter: a few figures side by side, and what the law would have them be.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Spanned;

/// A chart as written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What its figures are in.
    pub unit: String,
    /// What is drawn through the figures, where something is: `law` of each point.
    pub law: Option<String>,
    /// Its figures, from left to right.
    pub points: Vec<Point>,
}

/// One figure of a chart.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Point {
    /// What stands under it.
    pub label: String,
    /// What is measured: an expression.
    pub measure: Spanned<String>,
    /// What the law says that it should be: an expression.
    pub law: Option<Spanned<String>>,
}

impl Chart {
    /// Every expression in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.points.iter().flat_map(|point| std::iter::once(&point.measure).chain(&point.law))
    }
}
