//! Measures the whole table: every architecture is loaded, then broken. Work that does not disturb other work
//! runs in parallel: searches of architectures with little capacity, and audits, whose load is low.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use super::article;
use super::meter::CapacityMeter;
use super::prices::Prices;
use super::rows::{FaultRow, MeasuredCapacity, MeasuredTable, ResidualCapacity, SCHEMA, TableRow};
use crate::audit::{self, Audit, AuditPlan, Restarts, Scope, Selection, library, paths};
use crate::runner::{Emitter, EventKind, Observer, RunEvent};
use chapter::Source;
use lab::error::LabError;
use lab::interrupt::Interrupt;
use lab::site::{self, SiteArgs};
use lab::{Plan, Program, Site};
use load::Objective;

/// Number of concurrent audits.
const AUDITS_AT_ONCE: usize = 10;
/// An audit of more faults than this is split into parts that run concurrently.
const FAULTS_MAX: usize = 8;
/// Number of concurrent searches of architectures with little capacity.
const LIGHT_AT_ONCE: usize = 4;
/// Approximate duration of a search in seconds, for the progress bar.
const LIGHT_SECONDS: f64 = 36.0;
const HEAVY_SECONDS: f64 = 55.0;
/// The first rate tried with the first architecture, in requests per second.
const FIRST_RATE: f64 = 30.0;

/// The configuration of a table measurement.
#[derive(Debug)]
pub struct TableRun {
    /// The architectures, simplest first.
    pub sources: Vec<Source>,
    /// Where to run them.
    pub place: SiteArgs,
    /// Further architectures, of which only the database is killed.
    pub variants: Vec<Source>,
    /// The price sheet.
    pub prices: Prices,
    /// The objective that defines capacity.
    pub objective: Objective,
    /// A path that recovers on its own within this time does not count as down.
    pub within: Duration,
    /// Whether this is a quick measurement.
    pub quick: bool,
    /// Whether these are all built-in rows at the built-in prices.
    pub whole: bool,
    /// The random seed.
    pub seed: u64,
}

/// One audit, or a part of one.
struct Job {
    /// The architecture's index in the table; variants come after its rows.
    architecture: usize,
    audit_plan: AuditPlan,
    /// Number of faults to inject.
    faults: usize,
}

/// The audit of one architecture, or why there is none.
type Audited = Result<Audit, String>;

/// Measures every architecture.
pub async fn measure_table(
    run: &TableRun,
    observer: &dyn Observer,
    interrupt: &Interrupt,
) -> Result<(MeasuredTable, Vec<Audit>), LabError> {
    let (began, started) = (jiff::Timestamp::now(), Instant::now());
    let emitter = Emitter::new(observer, started);
    // A missing price is reported before anything is measured.
    let plans = run.sources.iter().map(|source| Plan::of(&source.chapter, run.place.deployment()));
    let plans = plans.collect::<Result<Vec<_>, _>>().map_err(LabError::Usage)?;
    let costs = plans.iter().map(|plan| run.prices.of_plan(plan));
    let costs = costs.collect::<Result<Vec<_>, _>>().map_err(LabError::Usage)?;
    let inspections = run.inspections()?;
    inspections.iter().try_for_each(|job| job.audit_plan.check())?;
    let _lock = site::lock(&run.place.lab_dir)?;
    run.check_places(&inspections)?;
    let expect = |seconds: f64| emitter.emit(EventKind::Expected { seconds });
    plans.iter().for_each(|plan| expect(search_seconds(plan)));
    for Job { audit_plan, faults, .. } in &inspections {
        expect(*faults as f64 * audit_plan.each_seconds() / AUDITS_AT_ONCE as f64);
    }

    let strengths = run.strengths(&plans, emitter, interrupt).await?;
    let mut audits = run.audits(&inspections, emitter, interrupt).await?;
    let variants = audits.split_off(run.sources.len());
    let variants = run.variants.iter().zip(&variants).map(|(source, audit)| {
        row(source, MeasuredCapacity::default(), ResidualCapacity::default(), 0.0, audit, None)
    });
    let variants = variants.collect();
    let base = run.sources.iter().zip(&strengths).find(|(source, _)| library::is_first_row(source));
    let base = base.map(|(_, (strength, _))| strength).filter(|strength| strength.distrust.is_none());
    let base = base.map(|strength| strength.rate).filter(|rate| *rate > 0.0);
    let rows = run.sources.iter().zip(strengths).zip(costs).zip(&audits);
    let rows = rows
        .map(|(((source, (capacity, left)), cost), audit)| row(source, capacity, left, cost, audit, base));
    let table = MeasuredTable {
        schema: SCHEMA.into(),
        began,
        seconds: started.elapsed().as_secs_f64(),
        quick: run.quick,
        whole: run.whole,
        seed: run.seed,
        p99_ms: run.objective.p99.as_secs_f64() * 1e3,
        rows: rows.collect(),
        variants,
    };
    Ok((table, audits.into_iter().flatten().collect()))
}

impl TableRun {
    /// Measures the capacities: first those without a cache in parallel, because their load is low, then each
    /// of the others alone.
    async fn strengths(
        &self,
        plans: &[Plan],
        emitter: Emitter<'_>,
        interrupt: &Interrupt,
    ) -> Result<Vec<(MeasuredCapacity, ResidualCapacity)>, LabError> {
        let light = |index: &usize| is_light(&plans[*index]);
        let (light, heavy): (Vec<_>, Vec<_>) = (0..self.sources.len()).partition(light);
        let highest = Mutex::new(FIRST_RATE);
        let run = |index: usize, from: f64, stride: f64| {
            let highest = &highest;
            async move {
                let source = &self.sources[index];
                let place = self.place.beside(lane(index));
                let doing = |what: &str| {
                    let what = format!("capacity of {}: {what}", source.name);
                    emitter.emit(EventKind::Doing { what: &what });
                };
                let (objective, seed) = (Objective { stride, ..self.objective.clone() }, self.seed);
                let meter = CapacityMeter {
                    source,
                    place: &place,
                    objective: &objective,
                    seed,
                    interrupt,
                    doing: &doing,
                };
                let found = match meter.measure(from).await {
                    Err(error) if is_only_its_own(&error) => {
                        let why = error.to_string();
                        let none = || Some(why.clone());
                        let strength = MeasuredCapacity { distrust: none(), ..MeasuredCapacity::default() };
                        (strength, ResidualCapacity { distrust: none(), ..ResidualCapacity::default() })
                    }
                    measured => measured?,
                };
                let line = match &found {
                    (MeasuredCapacity { distrust: Some(why), .. }, _) => format!("{}: {why}", source.name),
                    (MeasuredCapacity { rate, .. }, left) => format!(
                        "{}: {rate:.0} requests a second; {:.0} without {}",
                        source.name, left.rate, left.without
                    ),
                };
                emitter.emit(EventKind::Done { found: &line, seconds: search_seconds(&plans[index]) });
                let mut highest = highest.lock();
                *highest = highest.max(found.0.rate);
                Ok::<_, LabError>((index, found))
            }
        };
        let mut found = Vec::new();
        let side_by_side = light.into_iter().map(|index| run(index, FIRST_RATE, 2.0));
        for measured in stream::iter(side_by_side).buffer_unordered(LIGHT_AT_ONCE).collect::<Vec<_>>().await {
            found.push(measured?);
        }
        for (before, index) in heavy.into_iter().enumerate() {
            let from = *highest.lock();
            // All architectures with a cache have about the same capacity.
            found.push(run(index, from, if before == 0 { 2.0 } else { 1.25 }).await?);
        }
        found.sort_by_key(|(index, _)| *index);
        Ok(found.into_iter().map(|(_, found)| found).collect())
    }

    /// Returns the networks of its labs: the first and the last.
    pub fn networks(&self) -> Result<([u8; 2], [u8; 2]), LabError> {
        let lanes = self.sources.len().max(self.inspections()?.len()).max(1);
        Ok((self.place.beside(lane(0)).network(), self.place.beside(lane(lanes - 1)).network()))
    }

    /// Checks that every address of every lab is free before the first one is started, rather than failing
    /// minutes later. Containers have their own networks.
    fn check_places(&self, inspections: &[Job]) -> Result<(), LabError> {
        if self.place.backend.is_containers() {
            return Ok(());
        }
        let searched =
            self.sources.iter().enumerate().map(|(index, source)| (source, self.place.beside(lane(index))));
        let audited = inspections.iter().map(|job| (&job.audit_plan.source, job.audit_plan.place.clone()));
        for (source, place) in searched.chain(audited) {
            let plan = Plan::of(&source.chapter, place.deployment()).map_err(LabError::Usage)?;
            Site::check_ports(&plan)?;
        }
        Ok(())
    }

    /// Plans the audits; large ones are split into parts.
    fn inspections(&self) -> Result<Vec<Job>, LabError> {
        let mut inspections = Vec::new();
        for (index, source) in self.sources.iter().chain(&self.variants).enumerate() {
            let is_variant = index >= self.sources.len();
            let whole = AuditPlan {
                source: source.clone(),
                place: self.place.clone(),
                wanted: Selection {
                    scope: if self.quick { Scope::OneOfEach } else { Scope::Everything },
                    only: is_variant.then(|| "db".to_owned()),
                    kills_only: is_variant,
                    restarts: Restarts::OfWhatKeepsSomething,
                    // The article does not mention full disks.
                    fills: false,
                },
                depth: 1,
                within: self.within,
                rate: 10.0,
                seed: self.seed,
                part: (0, 1),
            };
            let plan = whole.plan()?;
            let parts = whole.faults(&plan)?.len().div_ceil(FAULTS_MAX);
            for part in 0..parts {
                let place = self.place.beside(lane(inspections.len()));
                let audit_plan = AuditPlan { place, part: (part, parts), ..whole.clone() };
                let faults = audit_plan.faults(&plan)?.len();
                inspections.push(Job { architecture: index, audit_plan, faults });
            }
        }
        Ok(inspections)
    }

    /// Runs the audits concurrently, the longest first so that all end at about the same time.
    async fn audits(
        &self,
        inspections: &[Job],
        emitter: Emitter<'_>,
        interrupt: &Interrupt,
    ) -> Result<Vec<Audited>, LabError> {
        let mut jobs: Vec<_> = inspections.iter().enumerate().collect();
        jobs.sort_by_key(|(_, job)| Reverse(job.faults));
        let audits = jobs.into_iter().map(|(number, Job { architecture, audit_plan, .. })| async move {
            let observer = BesideOthers { emitter };
            let audited = match audit::audit(audit_plan, interrupt, &observer).await {
                Err(error) if is_only_its_own(&error) => Err(error.to_string()),
                audited => Ok(audited?),
            };
            Ok::<_, LabError>((number, *architecture, audited))
        });
        let mut audits: Vec<(usize, usize, Audited)> =
            stream::iter(audits).buffer_unordered(AUDITS_AT_ONCE).try_collect().await?;
        audits.sort_by_key(|(number, ..)| *number);
        let mut whole: Vec<Audited> = Vec::new();
        for (_, architecture, audited) in audits {
            match whole.get_mut(architecture) {
                None => whole.push(audited),
                Some(before) => *before = joined(before.clone(), audited),
            }
        }
        Ok(whole)
    }
}

/// Observer of one of several concurrent audits. Their work is already part of the estimate, and times count
/// for the table as a whole.
struct BesideOthers<'a> {
    emitter: Emitter<'a>,
}

impl Observer for BesideOthers<'_> {
    fn on(&self, event: &RunEvent<'_>) {
        match event.kind {
            EventKind::AuditBegins { .. } => {}
            EventKind::FaultEnded { architecture, title, worst, seconds } => {
                let seconds = seconds / AUDITS_AT_ONCE as f64;
                self.emitter.emit(EventKind::FaultEnded { architecture, title, worst, seconds });
            }
            other => self.emitter.emit(other),
        }
    }
}

/// Returns whether an error concerns one row only: the row reports it, and the others remain valid. An
/// interrupt ends them all.
fn is_only_its_own(error: &LabError) -> bool {
    !matches!(error, LabError::Interrupted(_))
}

/// Joins two parts of one audit.
fn joined(one: Audited, other: Audited) -> Audited {
    Ok(one?.joined_with(other?))
}

/// Returns whether an architecture has so little capacity that others can be measured beside it: it has no
/// cache.
fn is_light(plan: &Plan) -> bool {
    !plan.machines.values().any(|machine| machine.has(Program::Redis))
}

fn search_seconds(plan: &Plan) -> f64 {
    if is_light(plan) { LIGHT_SECONDS / LIGHT_AT_ONCE as f64 } else { HEAVY_SECONDS }
}

fn lane(index: usize) -> u8 {
    u8::try_from(index + 1).unwrap_or(u8::MAX)
}

fn row(
    source: &Source,
    capacity: MeasuredCapacity,
    left: ResidualCapacity,
    cost: f64,
    audited: &Audited,
    base: Option<f64>,
) -> TableRow {
    let mut row = TableRow {
        number: source.chapter.number,
        name: source.name.clone(),
        title: source.chapter.title.clone(),
        ratio: base.map(|base| capacity.rate / base),
        capacity,
        cost,
        left,
        distrust: audited.as_ref().err().cloned(),
        ..TableRow::default()
    };
    if let Ok(audit) = audited {
        let names = |path: &str| audit.single_points(path).into_iter().collect::<Vec<_>>();
        row.single_points = audit.single_points_of_any().into_iter().collect();
        row.single_points_of = audit.paths.iter().map(|(path, _)| (path.clone(), names(path))).collect();
        row.recovery_seconds = audit.recovery_seconds();
        row.lost_writes = audit.lost(paths::WRITE);
        row.lost_sessions = audit.lost(paths::SESSION);
        row.machines = audit.machines.len();
        row.faults = audit.rows.iter().flat_map(fault_row).collect();
        row.distrust = audit.distrust.clone();
    }
    if library::is_built_in(source) {
        row.cells = article::judge(&row);
    }
    row
}

fn fault_row(row: &audit::Row) -> Option<FaultRow> {
    let fault = row.faults.first()?;
    Some(FaultRow {
        component: fault.component.name(),
        fault: fault.happened().to_owned(),
        cells: row.cells.clone(),
    })
}
