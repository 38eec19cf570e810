//! One run of a chapter: its steps, its measurements, and the verdicts on its claims.

mod condition;
mod damage;
mod demand;
mod disk;
mod document;
mod filling;
mod host;
mod measured;
mod observer;
mod owners;
mod pace;
mod primaries;
mod search;
mod steps;
mod verdict;

use std::cell::Cell;

use anyhow::Context;
use history::lost::Lost;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use demand::Demand;
use disk::DiskWatch;
pub use document::{RUN_SCHEMA, RunDocument, SetUp};
use filling::FillWatch;
pub use filling::Filled;
pub(crate) use host::HostWatch;
pub use measured::Measured;
pub use observer::{Emitter, EventKind, Observer, RunEvent};
pub use pace::Pace;
pub use verdict::{ClaimResult, Verdict};

use crate::testbed::Testbed;
use chapter::expression::Expression;
use chapter::measures::{Measure, MeasureCall};
use chapter::{Chart, Table};
use lab::Program;
use lab::error::LabError;

use parts::Skips;

/// A run in progress.
pub struct Run<'a> {
    bed: &'a Testbed,
    emitter: Emitter<'a>,
    measured: Measured,
    /// Samples of the machines that charts show.
    filling: FillWatch,
    seed: u64,
    pace: Pace,
    /// Number of the lab's events already reported.
    told: Cell<usize>,
    /// The counters that claims refer to.
    counters: Vec<Counted>,
    /// The measures that claims refer to.
    asked: Vec<MeasureCall>,
    /// Why the lab is no longer in the state that its chapter produced, if it is not.
    damage: Option<String>,
    /// What stand-ins for the lab's own programs cannot do.
    skips: Skips,
}

/// A counter that is read at the beginning and the end of a step.
#[derive(Debug, PartialEq)]
struct Counted {
    step: String,
    /// The machine, kind of machine or program that exposes it.
    of: String,
    counter: String,
}

/// The results of a run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Findings {
    /// Every claim with its verdict, in the chapter's order.
    pub claims: Vec<ClaimResult>,
    /// The charts with their figures.
    #[serde(default)]
    pub charts: Vec<FilledChart>,
    /// The tables with their figures.
    #[serde(default)]
    pub tables: Vec<FilledTable>,
    /// Lost acknowledged writes, by the history's name and the record.
    #[serde(default)]
    pub lost: Vec<(String, Vec<Lost>)>,
    /// Drawings of operations that no order explains, by the history's name.
    #[serde(default)]
    pub offences: Vec<(String, String)>,
    /// When each step began, in seconds.
    #[serde(default)]
    pub steps: Vec<(String, f64)>,
    /// When the last step ended, in seconds.
    pub ended: f64,
    /// Time from the lab's start until the machines were up, in seconds.
    #[serde(default)]
    pub up_after: f64,
    /// How late the load generator was over the whole run, as the 99th percentile in
    /// milliseconds.
    pub generator_lag_p99_ms: f64,
    /// Everything on the host that disturbed the run, however little.
    #[serde(default)]
    pub disturbances: Vec<String>,
}

/// A chart with its figures.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct FilledChart {
    /// The chart's title.
    pub title: String,
    /// The unit of its figures.
    pub unit: String,
    /// The law that is drawn through them.
    pub law: Option<String>,
    /// Its figures, from left to right.
    pub points: Vec<FilledPoint>,
    /// Samples of its machine over time, where it shows one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filled: Vec<Filled>,
}

/// One figure of a chart.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FilledPoint {
    /// Its label.
    pub label: String,
    /// The measured value, where there was something to measure.
    pub figure: Option<f64>,
    /// The value by the law.
    pub law: Option<f64>,
}

/// A table with its figures.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FilledTable {
    /// The table's title.
    pub title: String,
    /// The names of its columns.
    pub columns: Vec<String>,
    /// Its rows: their names, and a figure for each column where there was something to measure.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
}

/// How to run a chapter.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Seed of its random traffic.
    pub seed: u64,
    /// Scaling of measurement times.
    pub pace: Pace,
    /// Whether to skip the remaining steps once nothing can be judged any more, because the chapter will be
    /// run again.
    pub ends_when_damaged: bool,
}

/// Runs every step of a chapter on a testbed that is up.
pub async fn run(bed: &mut Testbed, wanted: Wanted, emitter: Emitter<'_>) -> Result<Findings, LabError> {
    let Wanted { seed, pace, .. } = wanted;
    let histories = bed.take_histories();
    let bed: &Testbed = bed;
    let Testbed { lab, chapter, generator, streams, .. } = bed;
    let recorder = generator.recorder().clone();
    let host = HostWatch::begin(lab.events.clock().origin).context("watch the computer")?;
    let events = lab.events.clone();
    let keeps_data = lab.plan().machines.values().any(|machine| machine.has(Program::Dbnode));
    let disk = keeps_data.then(|| DiskWatch::begin(lab.events.clock().origin, lab.logs()));
    let disk = disk.transpose().context("watch the computer's disk")?;
    let measured = Measured::new(recorder, events, streams.clone(), lab.plan(), histories, host, disk);
    let up_after = lab.events.clock().now().as_secs_f64();
    let told = Cell::new(lab.events.count());
    let asked =
        asked_by(chapter.step.iter().flat_map(|step| &step.expect).map(|claim| claim.measure.as_ref()));
    let drawn = chapter.chart.iter().flat_map(Chart::expressions).map(|text| text.as_ref().clone());
    let cells: Vec<_> = chapter.table.iter().flat_map(Table::cells).chain(drawn).collect();
    let counters = counters_of(asked.iter().chain(&asked_by(cells.iter())));
    let damage = None;
    let skips = lab.cast().skips(chapter);
    let shown = chapter.chart.iter().filter_map(|chart| chart.machine.as_ref());
    let filling = FillWatch::begin(lab, shown.map(|machine| machine.name.as_ref().clone()));
    let mut run = Run { bed, emitter, measured, filling, seed, pace, told, counters, asked, damage, skips };
    let mut claims = Vec::new();
    for step in &chapter.step {
        match run.damage.clone() {
            Some(reason) if wanted.ends_when_damaged => claims.extend(run.left_out(step, &reason)),
            _ => claims.extend(run.step(step).await?),
        }
    }
    let generator_lag_p99_ms = run.measured.generator_lag_p99().as_secs_f64() * 1e3;
    let tables: Vec<_> = chapter.table.iter().map(|table| run.fill(table)).collect();
    tables.iter().for_each(|table| emitter.emit(EventKind::Table(table)));
    let histories = &run.measured.histories;
    histories.finish()?;
    let (lost, offences) = (histories.all_lost(), histories.offences());
    lost.iter().for_each(|(history, records)| emitter.emit(EventKind::Lost { history, records }));
    offences.iter().for_each(|(history, picture)| emitter.emit(EventKind::Offence { history, picture }));
    let (steps, ended) = (run.measured.step_begins(), run.now().as_secs_f64());
    let disturbances = run.measured.disturbances();
    Ok(Findings {
        claims,
        charts: chapter.chart.iter().map(|chart| run.draw(chart)).collect(),
        tables,
        lost,
        offences,
        steps,
        ended,
        up_after,
        generator_lag_p99_ms,
        disturbances,
    })
}

impl Run<'_> {
    fn draw(&self, chart: &Chart) -> FilledChart {
        let figure = |text: &str| {
            let reading = self.measured.evaluate(text).reading;
            reading.map(|reading| reading.figure).filter(|figure| figure.is_finite())
        };
        let points = chart.points.iter().map(|point| FilledPoint {
            label: point.label.clone(),
            figure: figure(point.measure.as_ref()),
            law: point.law.as_ref().and_then(|law| figure(law.as_ref())),
        });
        let filled = chart.machine.as_ref().map(|machine| self.filling.of(machine.name.as_ref()));
        FilledChart {
            title: chart.title.as_ref().clone(),
            unit: chart.unit.clone(),
            law: chart.law.clone(),
            points: points.collect(),
            filled: filled.unwrap_or_default(),
        }
    }

    fn fill(&self, table: &Table) -> FilledTable {
        let figure = |row: &String, column: &String| {
            let reading = self.measured.evaluate(&table.cell(row, column)).reading;
            reading.map(|reading| reading.figure).filter(|figure| figure.is_finite())
        };
        let row = |row: &String| {
            (row.clone(), table.columns.iter().map(|column| figure(row, column)).collect::<Vec<_>>())
        };
        FilledTable {
            title: table.title(&self.bed.chapter, |time| self.pace.of(time)),
            columns: table.columns.clone(),
            rows: table.rows.iter().map(row).collect(),
        }
    }
}

/// Returns the measures that expressions refer to.
fn asked_by<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<MeasureCall> {
    // Chapters are validated before they run.
    let expressions: Vec<_> = texts.filter_map(|text| Expression::<MeasureCall>::parse(text).ok()).collect();
    expressions.iter().flat_map(Expression::measures).cloned().collect()
}

/// Returns the counters among the measures.
fn counters_of<'a>(asked: impl Iterator<Item = &'a MeasureCall>) -> Vec<Counted> {
    let mut counters = Vec::new();
    for MeasureCall { measure, of } in asked {
        if let (Measure::Counted, [step, of, counter]) = (measure, &of[..]) {
            let counted = Counted { step: step.clone(), of: of.clone(), counter: counter.clone() };
            if !counters.contains(&counted) {
                counters.push(counted);
            }
        }
    }
    counters
}
