//! Stored runs and the measured table: read by the process that serves the page, and shown by the screen that compares
//! runs.

use std::fmt::Debug;

use chapter::Chapter;
use lab::Plan;
use lab::error::LabError;
use lab::plan::Deployment;
use serde::Serialize;
use serde_json::{Value, json};

use crate::topology::{self, Wire};

/// A source of stored results.
pub trait Results: Debug + Send + Sync {
    /// Lists the stored runs, newest first: `chapter`, `run`, `title`, `verdict`, `began`, `seconds`.
    fn list(&self) -> Vec<Value>;

    /// Opens one for replay: its shape, its claims, its events, and its traffics over time.
    fn open(&self, chapter: &str, run: &str) -> Result<Value, LabError>;

    /// Compares two runs of a chapter: verdicts, figures, and the chapter files.
    fn compare(&self, chapter: &str, first: &str, second: &str) -> Result<Value, LabError>;

    /// Returns the newest measured table of architectures, next to the article's; null if none was measured.
    fn table(&self) -> Value;
}

/// A source without results.
#[derive(Debug)]
pub struct NoResults;

impl Results for NoResults {
    fn list(&self) -> Vec<Value> {
        vec![]
    }

    fn open(&self, chapter: &str, run: &str) -> Result<Value, LabError> {
        Err(LabError::Usage(format!("there is no run {run} of {chapter}")))
    }

    fn compare(&self, chapter: &str, first: &str, _second: &str) -> Result<Value, LabError> {
        self.open(chapter, first)
    }

    fn table(&self) -> Value {
        Value::Null
    }
}

/// The machines and wires of a chapter, as its picture shows them before the first step.
#[derive(Debug, Serialize)]
pub struct Shape {
    machines: Vec<Value>,
    wires: Vec<Wire>,
    traffics: Vec<Value>,
}

/// Returns the shape of a chapter.
pub fn shape(chapter: &Chapter) -> Result<Shape, LabError> {
    let plan = Plan::of(chapter, Deployment::on_paper()).map_err(LabError::Usage)?;
    let machines = plan.machines.values().map(|machine| {
        let programs: Vec<_> = machine.programs.iter().map(|program| program.program.name()).collect();
        json!({ "name": machine.name, "kind": machine.kind, "programs": programs })
    });
    let traffics =
        chapter.traffic.iter().map(|(name, traffic)| json!({ "name": name, "to": traffic.to.as_ref() }));
    Ok(Shape {
        machines: machines.collect(),
        wires: topology::wires(chapter, &plan),
        traffics: traffics.collect(),
    })
}
