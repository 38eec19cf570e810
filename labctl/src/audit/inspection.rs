//! The audit itself: fault by fault, watch, repair, count what is lost, and go on when all is well.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::faults::{self, Fault, Scope, Selection};
use super::impact::{Impact, Seen};
use super::matrix::{Audit, Row, SCHEMA};
use super::paths;
use super::stage::Stage;
use crate::chapter::{Chapter, Source};
use crate::error::LabError;
use crate::interrupt::Interrupt;
use crate::lab::site::SiteArgs;
use crate::lab::{Act, Backend, Happening, Laboratory, Plan, Program, redis};
use crate::load::Moment;

/// Who recovers by itself within this time has not been down.
pub const WITHIN: Duration = Duration::from_secs(10);
/// The same in a hurry: longer than a balancer's three checks, and than an election.
pub const QUICK_WITHIN: Duration = Duration::from_secs(7);
/// How often it is looked how things are.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A path that has been well for so long after a failure has recovered.
const WELL_FOR: Duration = Duration::from_millis(2000);
/// So long a fault is watched even when nobody notices it: a health check needs its time.
const WATCH_MIN: Duration = Duration::from_millis(4500);
/// How long an architecture may take to become steady at first, and after a repair.
const STEADY_MAX: Duration = Duration::from_secs(15);

/// What is to be audited, and how.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The architecture.
    pub source: Source,
    /// Where it is to stand.
    pub place: SiteArgs,
    /// Which faults are looked at.
    pub wanted: Selection,
    /// How many faults happen together at most: 1 or 2.
    pub depth: usize,
    /// Who recovers within this time by itself has not been down.
    pub within: Duration,
    /// Requests a second on each path.
    pub rate: f64,
    /// The dice of keys.
    pub seed: u64,
    /// Of all faults only one part is looked at: the first of so many is `(0, count)`.
    pub part: (usize, usize),
}

impl Inspection {
    /// How long one fault takes, about, in seconds.
    pub fn each_seconds(&self) -> f64 {
        self.within.as_secs_f64() * 0.5 + 6.0
    }

    /// Whether it can be made here at all; that is known before anything is started.
    pub fn check(&self) -> Result<(), LabError> {
        if self.place.redis_url.is_some()
            && self.source.chapter.machine.values().any(|one| one.redis.is_some())
        {
            return Err(LabError::NotReady(
                "a Redis that is not labctl's cannot be broken, and would look as if nothing depended on it: unset LABCTL_REDIS_URL"
                    .into(),
            ));
        }
        let plan = self.plan()?;
        if plan.place().backend == Backend::Process { redis::check(&plan) } else { Ok(()) }
    }

    /// The architecture, with traffic on every path.
    fn chapter(&self) -> Result<Chapter, LabError> {
        paths::prepared(&self.source.chapter).map_err(LabError::Usage)
    }

    /// What stands where.
    pub fn plan(&self) -> Result<Plan, LabError> {
        Plan::of(&self.chapter()?, self.place.place()).map_err(LabError::Usage)
    }

    /// What happens, one fault after the other.
    pub fn faults(&self, plan: &Plan) -> Result<Vec<Fault>, LabError> {
        let all = faults::faults(plan, &self.wanted)
            .map_err(|none| LabError::Usage(format!("in '{}' {none}", self.source.name)))?;
        let (part, of) = self.part;
        Ok(all.chunks(all.len().div_ceil(of).max(1)).nth(part).unwrap_or_default().to_vec())
    }
}

/// What an audit tells while it goes on.
#[derive(Debug)]
pub enum Told<'a> {
    /// So many faults will be looked at.
    Begins {
        /// How many.
        faults: usize,
        /// How long one takes, about, in seconds.
        each_seconds: f64,
    },
    /// One is looked at now.
    Fault {
        /// Which, in words.
        title: &'a str,
    },
    /// It was.
    Done {
        /// What was found.
        row: &'a Row,
        /// How long it had been expected to take, in seconds.
        each_seconds: f64,
    },
    /// Something to know.
    Note(&'a str),
}

/// Audits an architecture.
pub async fn audit(
    inspection: &Inspection,
    interrupt: &Interrupt,
    tell: &(dyn Fn(Told<'_>) + Sync),
) -> Result<Audit, LabError> {
    inspection.check()?;
    let chapter = inspection.chapter()?;
    let (began, started) = (jiff::Timestamp::now(), Instant::now());
    let plan = inspection.plan()?;
    let single: Vec<_> = inspection.faults(&plan)?.into_iter().map(|fault| vec![fault]).collect();
    tell(Told::Begins { faults: single.len(), each_seconds: inspection.each_seconds() });
    let mut inspector =
        Inspector { inspection, chapter, interrupt, tell, stage: None, was_steady: false, distrust: None };
    let mut rows = Vec::new();
    let looked = inspector.look_at(single, &mut rows).await;
    inspector.clear().await;
    looked?;
    let Inspector { distrust, chapter, .. } = inspector;
    let paths = chapter.traffic.keys().filter(|name| paths::is_path(name));
    Ok(Audit {
        schema: SCHEMA,
        architecture: inspection.source.name.clone(),
        title: chapter.title.clone(),
        began,
        seconds: started.elapsed().as_secs_f64(),
        within_seconds: inspection.within.as_secs_f64(),
        rate: inspection.rate,
        one_of_each: inspection.wanted.scope == Scope::OneOfEach,
        depth: inspection.depth,
        machines: plan
            .machines
            .values()
            .map(|machine| {
                let programs = machine.programs.iter().map(|program| program.program.name());
                (machine.name.clone(), programs.collect())
            })
            .collect(),
        links: plan.links.iter().map(|link| (link.from.clone(), link.to.clone())).collect(),
        paths: paths.map(|name| (name.clone(), paths::meaning(name).to_owned())).collect(),
        rows,
        distrust,
    })
}

struct Inspector<'a> {
    inspection: &'a Inspection,
    chapter: Chapter,
    interrupt: &'a Interrupt,
    tell: &'a (dyn Fn(Told<'_>) + Sync),
    /// What stands now. After some faults it is better to start anew.
    stage: Option<Stage>,
    /// All has been well on some stage.
    was_steady: bool,
    distrust: Option<String>,
}

impl Inspector<'_> {
    /// Looks at every fault, and then, when asked to, at pairs of those that are harmless alone.
    async fn look_at(&mut self, single: Vec<Vec<Fault>>, rows: &mut Vec<Row>) -> Result<(), LabError> {
        for faults in single {
            rows.push(self.look_at_one_again(&faults).await?);
        }
        if self.inspection.depth < 2 {
            return Ok(());
        }
        let harmless = rows.iter().filter(|row| !row.cells.values().any(|impact| impact.down));
        let harmless: Vec<_> = harmless.flat_map(|row| row.faults.clone()).collect();
        let pairs = faults::pairs(&harmless);
        (self.tell)(Told::Begins { faults: pairs.len(), each_seconds: self.inspection.each_seconds() });
        for pair in pairs {
            rows.push(self.look_at_one_again(&pair).await?);
        }
        Ok(())
    }

    /// Looks at one; once more on a new stage when the first was not fit for it, though others were.
    async fn look_at_one_again(&mut self, faults: &[Fault]) -> Result<Row, LabError> {
        match self.look_at_one(faults).await {
            Err(LabError::Unsteady(why)) if self.was_steady => {
                (self.tell)(Told::Note(&format!("  {why}; once more")));
                self.look_at_one(faults).await
            }
            looked => looked,
        }
    }

    async fn look_at_one(&mut self, faults: &[Fault]) -> Result<Row, LabError> {
        let title = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        (self.tell)(Told::Fault { title: &title });
        let mut stage = self.steady_stage().await?;
        let interrupt = self.interrupt;
        let inspected = interrupt.unless(self.inspect(&mut stage, faults)).await;
        match &inspected {
            Ok(row) if leaves_all_as_it_was(row, &stage.lab.plan(), faults) => self.stage = Some(stage),
            _ => stage.down().await,
        }
        let row = inspected?;
        (self.tell)(Told::Done { row: &row, each_seconds: self.inspection.each_seconds() });
        Ok(row)
    }

    /// One fault, or several at the same time, from a steady state to a steady state.
    async fn inspect(&mut self, stage: &mut Stage, wanted: &[Fault]) -> Result<Row, LabError> {
        let names: Vec<String> = stage.paths().cloned().collect();
        let (before, first_event) = (stage.now(), stage.lab.events.count());
        let calm = names.iter().map(|path| stage.window(path, before.saturating_sub(WELL_FOR), before));
        let calm: Vec<_> = calm.collect();
        let mut faults = Vec::new();
        for fault in wanted {
            // Who has a role is known once what was before has happened.
            let fault = fault.resolved(&stage.lab).await?;
            stage.lab.act(&fault.act()).await?;
            faults.push(fault);
        }
        let end = watch(stage, &names, before, self.inspection.within).await;
        stage.settle(end).await;
        let mut impacts: Vec<Impact> = names
            .iter()
            .zip(&calm)
            .map(|(path, calm)| {
                let (whole, last) =
                    (stage.window(path, before, end), stage.window(path, end.saturating_sub(WELL_FOR), end));
                self.distrust = self.distrust.take().or(last.generator_fell_behind(Duration::from_secs(1)));
                Impact::of(&Seen { calm, whole: &whole, end: &last })
            })
            .collect();
        let detection_seconds = detection(stage, first_event, before);

        // Where sessions can be read they are counted now: what a repair takes away, no fault has.
        let down = names.iter().zip(&impacts).any(|(path, impact)| path == paths::SESSION && impact.down);
        let sessions = if down { None } else { Some(stage.sessions_lost().await) };
        for fault in &faults {
            stage.lab.act(&repair(stage, fault)).await?;
        }
        let repaired = stage.now();
        // Sessions that are lost fail until their owners log in again; that is counted, not waited for.
        let others: Vec<_> = names.iter().filter(|path| *path != paths::SESSION).cloned().collect();
        let mut steady = stage.until_steady(&others, STEADY_MAX).await;
        let sessions = match sessions {
            Some(lost) => lost,
            None => stage.sessions_lost().await,
        };
        let lost = [(paths::SESSION, sessions), (paths::WRITE, stage.writes_lost().await)];
        for (path, impact) in names.iter().zip(&mut impacts) {
            let lost = lost.iter().find(|(name, _)| name == path).map_or(0, |(_, lost)| *lost);
            *impact = impact.clone().having_lost(lost);
        }
        if steady.is_ok() {
            stage.log_members_in().await;
            steady = stage.until_steady(&names, STEADY_MAX).await;
        }
        let repair_seconds = steady.is_ok().then(|| stage.now().saturating_sub(repaired).as_secs_f64());
        let note = steady.err().map(|unwell| format!("not well after the repair: {unwell}; started anew"));
        let cells = names.into_iter().zip(impacts).collect();
        Ok(Row { faults: wanted.to_vec(), cells, detection_seconds, repair_seconds, note })
    }

    /// An architecture on which all is well: the one that stands, or a new one.
    async fn steady_stage(&mut self) -> Result<Stage, LabError> {
        if let Some(stage) = self.stage.take() {
            return Ok(stage);
        }
        let Inspection { source, place, seed, rate, .. } = self.inspection;
        let stage = Stage::raise(source, self.chapter.clone(), place, *seed, self.interrupt).await?;
        stage.begin(STEADY_MAX).await;
        stage.flow(*rate);
        let names: Vec<_> = stage.paths().cloned().collect();
        let steady = self.interrupt.unless(async { Ok(stage.until_steady(&names, STEADY_MAX).await) }).await;
        match steady {
            Ok(Ok(())) => {
                self.was_steady = true;
                Ok(stage)
            }
            Ok(Err(unwell)) => {
                stage.down().await;
                Err(LabError::Unsteady(format!(
                    "the architecture '{}' does not become steady, so it cannot be audited: after {} s {unwell}",
                    source.name,
                    STEADY_MAX.as_secs()
                )))
            }
            Err(error) => {
                stage.down().await;
                Err(error)
            }
        }
    }

    async fn clear(&mut self) {
        if let Some(stage) = self.stage.take() {
            stage.down().await;
        }
    }
}

impl Fault {
    /// The same fault of the machine that has the role now.
    pub(crate) async fn resolved(&self, lab: &Laboratory) -> Result<Self, LabError> {
        if !self.component.is_role() {
            return Ok(self.clone());
        }
        let name = self.component.name();
        let nobody = |_| LabError::Unsteady(format!("no machine is {name} now"));
        let meant = lab.who_is(&name).await.map_err(nobody)?;
        Ok(Self { component: self.component.called(meant), ..self.clone() })
    }
}

/// What a person would do about a fault now: what was frozen may have been switched off meanwhile.
fn repair(stage: &Stage, fault: &Fault) -> Act {
    let off = fault.component.machine().filter(|machine| {
        let on = stage.lab.machines_on();
        !on.iter().any(|name| name == machine)
    });
    off.map_or_else(|| fault.repair(), |machine| Act::Restart { name: machine.to_owned() })
}

/// Watches until every path has been well for a while, or its time is up. Returns the end.
async fn watch(stage: &Stage, paths: &[String], from: Moment, within: Duration) -> Moment {
    let deadline = from + within + WELL_FOR;
    loop {
        sleep(LOOK_EVERY).await;
        let now = stage.now();
        let all_well = paths.iter().all(|path| {
            let last = stage.window(path, now.saturating_sub(WELL_FOR), now);
            last.failed() == 0 && last.unfinished < 3 && last.requests() > 0
        });
        if now >= deadline || (all_well && now.saturating_sub(from) >= WATCH_MIN) {
            return now;
        }
    }
}

/// When something noticed, and acted: a balancer, or the nodes of a database.
fn detection(stage: &Stage, first_event: usize, from: Moment) -> Option<f64> {
    let noticed = |what: &Happening| {
        matches!(
            what,
            Happening::Ejected { .. } | Happening::TookOver { .. } | Happening::BecamePrimary { .. }
        )
    };
    let events = stage.lab.events.since(first_event);
    let at = events.iter().filter(|event| noticed(&event.what)).map(|event| event.at).min()?;
    Some(at.saturating_sub(from).as_secs_f64())
}

/// Whether the next fault finds things as this one did. A write that is lost stays lost, and would be
/// counted again.
fn leaves_all_as_it_was(row: &Row, plan: &Plan, faults: &[Fault]) -> bool {
    let lost = row.cells.get(paths::WRITE).is_some_and(|impact| impact.lost > 0);
    row.note.is_none() && !lost && !changes_who_is_who(plan, faults)
}

/// Whether after these faults others have the roles: a Redis that Sentinels watch over comes back as a
/// copy, in its own time.
fn changes_who_is_who(plan: &Plan, faults: &[Fault]) -> bool {
    let watched = plan.machines.values().any(|machine| machine.has(Program::Sentinel));
    let is_redis = |fault: &Fault| {
        let machine = plan.machines.get(&fault.component.name());
        machine.is_some_and(|machine| machine.has(Program::Redis) || machine.has(Program::Sentinel))
    };
    watched && faults.iter().any(is_redis)
}
