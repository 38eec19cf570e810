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
    /// Its place among the article's chapters, or after them.
    pub number: u32,
    /// The article's heading, or one of its own.
    pub title: String,
    /// What it asks, in one sentence.
    pub question: String,
    /// What to try next: a command.
    pub next: Option<String>,
    /// The machines, by name. Addresses are given in this order.
    pub machine: IndexMap<String, MachineEntry>,
    /// Connections that pass through a link which can be slowed and cut: `["web", "db"]`.
    #[serde(default)]
    pub links: Vec<(Spanned<String>, Spanned<String>)>,
    /// Kinds of machines of which each has a link to each other one.
    #[serde(default)]
    pub mesh: Vec<Spanned<String>>,
    /// How far it is from one place to another. With a map every machine has a place, and links between
    /// places take as long as it is far.
    #[serde(default)]
    pub map: Map,
    /// Streams of requests, by name. The first is the one that claims speak of by default.
    #[serde(default)]
    pub traffic: IndexMap<String, Traffic>,
    /// What is done, in order.
    #[serde(default)]
    pub step: Vec<Step>,
    /// What is drawn when everything is done: on the page of a run, the first thing that is seen.
    #[serde(default)]
    pub chart: Vec<Chart>,
    /// What is laid side by side when everything is done.
    #[serde(default)]
    pub table: Vec<Table>,
}
