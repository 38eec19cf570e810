//! Climbing the ladder: every architecture is loaded, then broken. What disturbs nobody is done side
//! by side: searches of those that bear little, and audits, which ask for little.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use indexmap::IndexMap;
use parking_lot::Mutex;

use super::article;
use super::prices::Prices;
use super::rows::{FaultRow, LadderRow, LadderTable, Left, SCHEMA, Strength};
use super::strength::Strongman;
use crate::audit::{self, Audit, Inspection, Scope, Told, paths};
use crate::chapter::Source;
use crate::error::LabError;
use crate::interrupt::Interrupt;
use crate::lab::site::{self, SiteArgs};
use crate::lab::{Plan, Program};
use crate::report::Progress;
use crate::runner::capacity::Objective;

/// So many architectures are audited at the same time.
const AUDITS_AT_ONCE: usize = 6;
/// An audit of more machines than this is made in two parts, at the same time.
const LARGE: usize = 11;
/// How long a search takes, about, in seconds: for the progress bar.
const SEARCH_SECONDS: f64 = 30.0;
/// The first rate tried with the first architecture, in requests a second.
const FIRST_RATE: f64 = 30.0;

/// What to measure, and how.
#[derive(Debug)]
pub struct Climb {
    /// The architectures, from the simplest on.
    pub sources: Vec<Source>,
    /// Where they are to stand.
    pub place: SiteArgs,
    /// Others, of which only what killing their databases does is looked at.
    pub variants: Vec<Source>,
    /// What machines cost.
    pub prices: Prices,
    /// What a capacity has to meet.
    pub objective: Objective,
    /// Who recovers within this time by itself has not been down.
    pub within: Duration,
    /// Measured in a hurry.
    pub quick: bool,
    /// The dice.
    pub seed: u64,
}

/// Measures every architecture.
pub async fn climb(
    climb: &Climb,
    progress: &Progress,
    interrupt: &Interrupt,
) -> Result<(LadderTable, Vec<Audit>), LabError> {
    let (began, started) = (jiff::Timestamp::now(), Instant::now());
    // What has no price is told before anything is measured.
    let plans = climb.sources.iter().map(|source| Plan::of(&source.chapter, climb.place.place()));
    let plans = plans.collect::<Result<Vec<_>, _>>().map_err(LabError::Usage)?;
    let costs = plans.iter().map(|plan| climb.prices.of_plan(plan));
    let costs = costs.collect::<Result<Vec<_>, _>>().map_err(LabError::Usage)?;
    let _lock = site::lock(&climb.place.lab_dir)?;
    progress.expect(SEARCH_SECONDS * climb.sources.len() as f64);

    let strengths = climb.strengths(&plans, progress, interrupt).await?;
    let mut audits = climb.audits(&plans, progress, interrupt).await?;
    let variants = audits.split_off(climb.sources.len());
    let variants = climb
        .variants
        .iter()
        .zip(&variants)
        .map(|(source, audit)| row(source, Strength::default(), Left::default(), 0.0, audit, 0.0));
    let variants = variants.collect();
    let first = strengths.first().map_or(0.0, |(strength, _)| strength.rate);
    let rows = climb.sources.iter().zip(strengths).zip(costs).zip(&audits);
    let rows = rows
        .map(|(((source, (capacity, left)), cost), audit)| row(source, capacity, left, cost, audit, first));
    let table = LadderTable {
        schema: SCHEMA.into(),
        began,
        seconds: started.elapsed().as_secs_f64(),
        quick: climb.quick,
        seed: climb.seed,
        p99_ms: climb.objective.p99.as_secs_f64() * 1e3,
        rows: rows.collect(),
        variants,
    };
    Ok((table, audits))
}

impl Climb {
    /// The capacities: of those without a cache side by side, for they bear little; then of each of
    /// the others by itself.
    async fn strengths(
        &self,
        plans: &[Plan],
        progress: &Progress,
        interrupt: &Interrupt,
    ) -> Result<Vec<(Strength, Left)>, LabError> {
        let light = |index: &usize| !plans[*index].machines.values().any(|one| one.has(Program::Redis));
        let (light, heavy): (Vec<_>, Vec<_>) = (0..self.sources.len()).partition(light);
        let highest = Mutex::new(FIRST_RATE);
        let run = |index: usize, from: f64| {
            let highest = &highest;
            async move {
                let source = &self.sources[index];
                let place = self.place.beside(lane(index));
                let doing = |what: &str| progress.doing(&format!("capacity of {}: {what}", source.name));
                let (objective, seed) = (&self.objective, self.seed);
                let strongman =
                    Strongman { source, place: &place, objective, seed, interrupt, doing: &doing };
                let found = strongman.measure(from).await?;
                progress.done(SEARCH_SECONDS);
                let Left { rate, without } = &found.1;
                progress.line(&format!(
                    "  {}: {:.0} requests a second; {rate:.0} without {without}",
                    source.name, found.0.rate
                ));
                let mut highest = highest.lock();
                *highest = highest.max(found.0.rate);
                Ok::<_, LabError>((index, found))
            }
        };
        let mut found = Vec::new();
        let side_by_side = light.into_iter().map(|index| run(index, FIRST_RATE));
        for measured in stream::iter(side_by_side).buffer_unordered(4).collect::<Vec<_>>().await {
            found.push(measured?);
        }
        for index in heavy {
            let from = *highest.lock();
            found.push(run(index, from).await?);
        }
        found.sort_by_key(|(index, _)| *index);
        Ok(found.into_iter().map(|(_, found)| found).collect())
    }

    /// The audits, several at the same time, large ones in two parts.
    async fn audits(
        &self,
        plans: &[Plan],
        progress: &Progress,
        interrupt: &Interrupt,
    ) -> Result<Vec<Audit>, LabError> {
        let parts = plans.iter().map(|plan| if plan.machines.len() > LARGE { 2 } else { 1 });
        let rows = parts.enumerate().flat_map(|(index, of)| (0..of).map(move |part| (index, (part, of))));
        let variants = (0..self.variants.len()).map(|variant| (self.sources.len() + variant, (0, 1)));
        let jobs: Vec<(usize, (usize, usize))> = rows.chain(variants).collect();
        let sources: Vec<_> = self.sources.iter().chain(&self.variants).collect();
        let sources = &sources;
        let audits = jobs.iter().enumerate().rev().map(|(job, (index, part))| async move {
            let inspection = Inspection {
                source: sources[*index].clone(),
                place: self.place.beside(lane(job)),
                scope: if self.quick { Scope::OneOfEach } else { Scope::Everything },
                depth: 1,
                within: self.within,
                rate: 10.0,
                seed: self.seed,
                only: (*index >= self.sources.len()).then(|| "db".to_owned()),
                kills_only: *index >= self.sources.len(),
                part: *part,
            };
            let tell = |told: Told<'_>| crate::report::audit_progress::tell(progress, &inspection, told);
            Ok::<_, LabError>((job, *index, audit::audit(&inspection, interrupt, &tell).await?))
        });
        // The large ones first, so that none of them is left to the end.
        let mut audits: Vec<_> =
            stream::iter(audits).buffer_unordered(AUDITS_AT_ONCE).collect::<Vec<_>>().await;
        audits.sort_by_key(|audit| audit.as_ref().map_or(0, |(job, ..)| *job));
        let audits = audits.into_iter().collect::<Result<Vec<_>, _>>()?;
        let whole = (0..sources.len()).filter_map(|wanted| {
            let parts = audits.iter().filter(|(_, index, _)| *index == wanted);
            Audit::joined(parts.map(|(_, _, audit)| audit.clone()).collect())
        });
        Ok(whole.collect())
    }
}

fn lane(index: usize) -> u8 {
    u8::try_from(index + 1).unwrap_or(u8::MAX)
}

fn row(source: &Source, capacity: Strength, left: Left, cost: f64, audit: &Audit, first: f64) -> LadderRow {
    let names = |path: &str| audit.single_points(path).into_iter().collect::<Vec<_>>();
    let mut row = LadderRow {
        number: source.chapter.number,
        name: source.name.clone(),
        title: source.chapter.title.clone(),
        ratio: (first > 0.0).then(|| capacity.rate / first),
        capacity,
        cost,
        single_points: audit.single_points_of_any().into_iter().collect(),
        single_points_of: audit.paths.iter().map(|(path, _)| (path.clone(), names(path))).collect(),
        left,
        recovery_seconds: audit.recovery_seconds(),
        lost_writes: audit.lost(paths::WRITE),
        lost_sessions: audit.lost(paths::SESSION),
        cells: IndexMap::new(),
        machines: audit.machines.len(),
        faults: audit
            .rows
            .iter()
            .flat_map(|row| row.faults.first().map(|fault| (fault, &row.cells)))
            .map(|(fault, cells)| FaultRow {
                component: fault.component.name(),
                fault: fault.kind.to_string(),
                cells: cells.clone(),
            })
            .collect(),
    };
    row.cells = article::judge(&row);
    row
}
