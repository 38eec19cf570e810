//! A chapter as written.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::chart::Chart;
use crate::machines::MachineEntry;
use crate::map::Map;
use crate::spanned::Spanned;
use crate::step::Step;
use crate::table::Table;
use crate::traffic::Traffic;

/// A chapter as written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Chapter {
    /// Its number: its place among the article's chapters, or after them.
    pub number: u32,
    /// The article's heading, or one of its own.
    pub title: String,
    /// The question that it answers, in one sentence.
    pub question: String,
    /// A command to try next.
    pub next: Option<String>,
    /// The machines, by name. Addresses are assigned in this order.
    pub machine: IndexMap<String, MachineEntry>,
    /// Connections that pass through a link, which can be slowed and cut: `["web", "db"]`.
    #[serde(default)]
    pub links: Vec<(Spanned<String>, Spanned<String>)>,
    /// Kinds of machines in a full mesh: each machine has a link to every other one of its kind.
    #[serde(default)]
    pub mesh: Vec<Spanned<String>>,
    /// The round trips between places. With a map every machine has a place, and a link between two places
    /// takes their round trip.
    #[serde(default)]
    pub map: Map,
    /// Streams of requests, by name. Claims refer to the first one by default.
    #[serde(default)]
    pub traffic: IndexMap<String, Traffic>,
    /// The steps, in order.
    #[serde(default)]
    pub step: Vec<Step>,
    /// The charts that are drawn at the end: the first thing on the page of a run.
    #[serde(default)]
    pub chart: Vec<Chart>,
    /// The tables that are filled in at the end.
    #[serde(default)]
    pub table: Vec<Table>,
}
