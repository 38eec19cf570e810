//! The table as data: printed, stored, and read again for advice.
#![deny(clippy::disallowed_methods)]

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::audit::Impact;

/// The version of the table document.
pub const SCHEMA: &str = "scaling-lab/table/1";

/// The whole table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MeasuredTable {
    /// [`SCHEMA`].
    pub schema: String,
    /// When the measurement began.
    pub began: jiff::Timestamp,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Whether it was a quick measurement.
    pub quick: bool,
    /// Whether it has all built-in rows at the built-in prices; only then does it say anything about the
    /// article.
    #[serde(default)]
    pub whole: bool,
    /// The random seed.
    pub seed: u64,
    /// Capacity is the highest rate at which the 99th percentile of latency is within this many milliseconds
    /// and at most one request in a thousand fails.
    pub p99_ms: f64,
    /// The rows, simplest architecture first.
    pub rows: Vec<TableRow>,
    /// Further architectures, of which only the database was killed.
    #[serde(default)]
    pub variants: Vec<TableRow>,
}

/// One architecture.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TableRow {
    /// Its row number in the article's table, from 1; 7 is not in it.
    pub number: u32,
    /// Its short name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its capacity.
    pub capacity: MeasuredCapacity,
    /// Its capacity, as a multiple of the first row's.
    pub ratio: Option<f64>,
    /// Dollars per month.
    pub cost: f64,
    /// The programs that each take a path down on their own.
    pub single_points: Vec<String>,
    /// The single points of failure of each path.
    pub single_points_of: IndexMap<String, Vec<String>>,
    /// Its capacity while the worst single program is dead.
    pub left: ResidualCapacity,
    /// The longest outage that ended on its own, in seconds.
    pub recovery_seconds: Option<f64>,
    /// Acknowledged writes that were lost, over all faults.
    pub lost_writes: usize,
    /// Sessions that were lost, over all faults.
    pub lost_sessions: usize,
    /// The verdict on the article's cell, by column.
    pub cells: IndexMap<String, CellVerdict>,
    /// Number of machines.
    pub machines: usize,
    /// The impact of each fault.
    pub faults: Vec<FaultRow>,
    /// Why the audit is unreliable, if it is.
    #[serde(default)]
    pub distrust: Option<String>,
}

/// The impact of one fault on each path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaultRow {
    /// The component: `web-1`, `db:primary`, `lb → web-1`.
    pub component: String,
    /// What happened to it: `killed`, `frozen`, `cut`.
    pub fault: String,
    /// The impact, by path.
    pub cells: IndexMap<String, Impact>,
}

/// The capacity of an architecture.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MeasuredCapacity {
    /// The highest rate that met the objective, in requests per second.
    pub low: Option<f64>,
    /// The lowest rate that did not meet it.
    pub high: Option<f64>,
    /// A single number for the capacity.
    pub rate: f64,
    /// Why it is unreliable, if it is.
    pub distrust: Option<String>,
}

/// The capacity of an architecture while something is dead.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ResidualCapacity {
    /// Requests per second.
    pub rate: f64,
    /// The program that was killed.
    pub without: String,
    /// Why it is unreliable, if it is.
    #[serde(default)]
    pub distrust: Option<String>,
}

/// The article's figure, the lab's, and the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellVerdict {
    /// The article's figure; `None` if it gives none.
    pub article: Option<f64>,
    /// The measured figure, in the same unit; `None` if it could not be measured.
    pub measured: Option<f64>,
    /// The verdict.
    pub says: Says,
    /// The explanation, where it is known.
    pub because: Option<String>,
}

/// The verdict of a measurement on a figure in the article.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// The figures agree.
    Confirmed,
    /// The figures differ.
    Refuted,
    /// The host was the bottleneck, or there is nothing to compare.
    NotJudged,
}

impl MeasuredTable {
    /// Returns the first reason why something in it is unreliable, if there is one.
    pub fn distrust(&self) -> Option<&String> {
        self.rows.iter().chain(&self.variants).find_map(TableRow::any_distrust)
    }

    /// Returns the row of an architecture.
    pub fn row(&self, name: &str) -> Option<&TableRow> {
        self.rows.iter().chain(&self.variants).find(|row| row.name == name)
    }
}

impl TableRow {
    /// Returns the first reason why something in it is unreliable, if there is one.
    pub fn any_distrust(&self) -> Option<&String> {
        self.capacity.distrust.as_ref().or(self.left.distrust.as_ref()).or(self.distrust.as_ref())
    }
}
