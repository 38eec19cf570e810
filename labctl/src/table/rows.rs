//! The table as data: what is printed, kept, and read again for advice.
#![deny(clippy::disallowed_methods)]

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::audit::Impact;

/// The version of the table's document.
pub const SCHEMA: &str = "scaling-lab/table/1";

/// The whole table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LadderTable {
    /// [`SCHEMA`].
    pub schema: String,
    /// When it was begun.
    pub began: jiff::Timestamp,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Measured in a hurry.
    pub quick: bool,
    /// It has all the rows that come with the lab, at the lab's own prices: what it says, it says of the
    /// article.
    #[serde(default)]
    pub whole: bool,
    /// The seed of its dice.
    pub seed: u64,
    /// Capacity is the highest rate at which 99 % of the answers come within so many milliseconds and
    /// at most one in a thousand fails.
    pub p99_ms: f64,
    /// The rows, from the simplest architecture on.
    pub rows: Vec<LadderRow>,
    /// Architectures beside them, of which only what killing their databases does was looked at.
    #[serde(default)]
    pub variants: Vec<LadderRow>,
}

/// One architecture.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LadderRow {
    /// Its place in the article's table, from 1; 7 is not in it.
    pub number: u32,
    /// Its short name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What it can bear.
    pub capacity: Strength,
    /// Its capacity, as a multiple of the first row's.
    pub ratio: Option<f64>,
    /// Dollars a month.
    pub cost: f64,
    /// The programs that take a path down, each alone.
    pub single_points: Vec<String>,
    /// The same for each path.
    pub single_points_of: IndexMap<String, Vec<String>>,
    /// What it can bear when the worst single program is dead.
    pub left: Left,
    /// The longest that anything was away that came back by itself, in seconds.
    pub recovery_seconds: Option<f64>,
    /// Acknowledged writes that were gone after some fault.
    pub lost_writes: usize,
    /// Sessions that were gone after some fault.
    pub lost_sessions: usize,
    /// What is to be said of the article's cell, by column.
    pub cells: IndexMap<String, CellVerdict>,
    /// How many machines it has.
    pub machines: usize,
    /// What each fault did.
    pub faults: Vec<FaultRow>,
    /// Why what was found of its faults should not be trusted, if so.
    #[serde(default)]
    pub distrust: Option<String>,
}

/// What one fault did to each path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaultRow {
    /// Of what: `web-1`, `db:primary`, `lb → web-1`.
    pub component: String,
    /// What happened to it: `killed`, `frozen`, `cut`.
    pub fault: String,
    /// What it did, by path.
    pub cells: IndexMap<String, Impact>,
}

/// What an architecture can bear.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Strength {
    /// The highest rate that met the objective, in requests a second.
    pub low: Option<f64>,
    /// The lowest rate that did not.
    pub high: Option<f64>,
    /// One number for it.
    pub rate: f64,
    /// Why it should not be trusted, if so.
    pub distrust: Option<String>,
}

/// What an architecture can bear when something is dead.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Left {
    /// Requests a second.
    pub rate: f64,
    /// What was killed.
    pub without: String,
    /// Why it should not be trusted, if so.
    #[serde(default)]
    pub distrust: Option<String>,
}

/// The article's figure beside the lab's, and what that says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellVerdict {
    /// What the article says, as a figure. `None`: nothing.
    pub article: Option<f64>,
    /// What was measured, in the same unit. `None`: it could not be.
    pub measured: Option<f64>,
    /// What that says.
    pub says: Says,
    /// Why, where it is known.
    pub because: Option<String>,
}

/// What a measurement says of a figure in the article.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// It is so.
    Confirmed,
    /// It is not so.
    Refuted,
    /// The host was the bottleneck, or there is nothing to compare.
    NotJudged,
}

impl LadderTable {
    /// Why something in it should not be trusted, if so.
    pub fn distrust(&self) -> Option<&String> {
        self.rows.iter().chain(&self.variants).find_map(LadderRow::any_distrust)
    }

    /// A row by its architecture's name.
    pub fn row(&self, name: &str) -> Option<&LadderRow> {
        self.rows.iter().chain(&self.variants).find(|row| row.name == name)
    }
}

impl LadderRow {
    /// Why something in it should not be trusted, if so.
    pub fn any_distrust(&self) -> Option<&String> {
        self.capacity.distrust.as_ref().or(self.left.distrust.as_ref()).or(self.distrust.as_ref())
    }
}
