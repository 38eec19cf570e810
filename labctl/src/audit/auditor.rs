//! Injects one fault after another: steady state, fault, observation, repair, count of losses, steady state
//! again.

use std::time::Duration;

use super::faults::{self, Component, Fault, FaultKind};
use super::impact::Impact;
use super::matrix::Row;
use super::paths;
use super::plan::AuditPlan;
use super::remarks;
use super::stage::Stage;
use super::watching::{WELL_FOR, Watch, Watched};
use crate::runner::{Emitter, EventKind};
use chapter::Act;
use chapter::Chapter;
use lab::error::LabError;
use lab::interrupt::Interrupt;
use lab::{Happening, Laboratory, Plan, Program, balancers};
use load::{Moment, Window};

/// After a repair, how long every path must have been without failures.
const STEADY_FOR: Duration = Duration::from_millis(1200);
/// Time for all balancers to take back what the fault before took out: a few health checks.
const ALL_IN_MAX: Duration = Duration::from_secs(6);
/// How long an architecture may take to become steady, initially and after a repair.
const STEADY_MAX: Duration = Duration::from_secs(15);

/// Injects one fault after another.
pub(super) struct Auditor<'a> {
    audit_plan: &'a AuditPlan,
    chapter: &'a Chapter,
    interrupt: &'a Interrupt,
    emitter: Emitter<'a>,
    /// The running architecture. After some faults it is replaced by a fresh one.
    stage: Option<Stage>,
    /// Whether the architecture has ever been steady.
    was_steady: bool,
    distrust: Option<String>,
}

impl<'a> Auditor<'a> {
    /// Creates an auditor; nothing is started yet.
    pub(super) fn new(
        audit_plan: &'a AuditPlan,
        chapter: &'a Chapter,
        interrupt: &'a Interrupt,
        emitter: Emitter<'a>,
    ) -> Self {
        Self { audit_plan, chapter, interrupt, emitter, stage: None, was_steady: false, distrust: None }
    }

    /// Stops what still runs. Returns the reason why the results are unreliable, if they are.
    pub(super) async fn finish(self) -> Result<Option<String>, LabError> {
        if let Some(stage) = self.stage {
            stage.stop().await?;
        }
        Ok(self.distrust)
    }

    /// Tests every fault and then, if requested, pairs of those that are harmless alone.
    pub(super) async fn try_all(&mut self, single: Vec<Vec<Fault>>) -> Result<Vec<Row>, LabError> {
        let mut rows = Vec::new();
        self.tell_begin(single.len());
        for faults in single {
            rows.push(self.try_with_retry(&faults).await?);
        }
        if self.audit_plan.depth < 2 {
            return Ok(rows);
        }
        let harmless = rows.iter().filter(|row| !row.cells.keys().any(|path| row.takes_down(path)));
        let harmless: Vec<_> = harmless.flat_map(|row| row.faults.clone()).collect();
        let pairs = faults::pairs(&harmless);
        self.tell_begin(pairs.len());
        for pair in pairs {
            rows.push(self.try_with_retry(&pair).await?);
        }
        Ok(rows)
    }

    fn tell_begin(&self, faults: usize) {
        let (architecture, seconds) = (&self.audit_plan.source.name, self.audit_plan.each_seconds());
        self.emitter.emit(EventKind::AuditBegins { architecture, faults, seconds: faults as f64 * seconds });
    }

    /// Tests one fault. Repeats it if the computer was too busy, or with a fresh architecture if this one did
    /// not become steady although an earlier one did.
    async fn try_with_retry(&mut self, faults: &[Fault]) -> Result<Row, LabError> {
        let before = self.distrust.take();
        let looked = self.try_one(faults).await;
        let why = match (&looked, self.distrust.take()) {
            (Err(LabError::Unsteady(why)), _) if self.was_steady => Some(why.clone()),
            (Ok(_), disturbed) => disturbed,
            (Err(_), _) => None,
        };
        let looked = match why {
            Some(why) => {
                self.emitter.emit(EventKind::Note { text: &format!("{why}; once more") });
                self.try_one(faults).await
            }
            None => looked,
        };
        self.distrust = before.or(self.distrust.take());
        looked
    }

    async fn try_one(&mut self, faults: &[Fault]) -> Result<Row, LabError> {
        let title = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        let architecture = &self.audit_plan.source.name;
        self.emitter.emit(EventKind::Fault { architecture, title: &title });
        let mut stage = self.steady_stage().await?;
        let interrupt = self.interrupt;
        let inspected = interrupt.unless(self.inspect(&mut stage, faults)).await;
        match &inspected {
            Ok(row) if leaves_all_as_it_was(row, &stage.bed.lab.plan(), faults) => self.stage = Some(stage),
            _ => stage.stop().await?,
        }
        let row = inspected?;
        let (worst, seconds) = (row.worst().to_string(), self.audit_plan.each_seconds());
        self.emitter.emit(EventKind::FaultEnded {
            architecture,
            title: &row.title(),
            worst: &worst,
            seconds,
        });
        Ok(row)
    }

    /// Injects one fault, or several at the same time, from steady state to steady state.
    async fn inspect(&mut self, stage: &mut Stage, wanted: &[Fault]) -> Result<Row, LabError> {
        let names: Vec<String> = stage.paths().cloned().collect();
        let (before, first_event) = (stage.bed.now(), stage.bed.lab.events.count());
        let calm = names.iter().map(|path| stage.judged(path, before.saturating_sub(WELL_FOR), before));
        let calm: Vec<_> = calm.collect();
        let mut faults = Vec::new();
        for fault in wanted {
            // A role is resolved only after the previous fault has taken effect.
            let fault = fault.resolved(&stage.bed.lab).await?;
            stage.bed.lab.act(&fault.act()).await?;
            faults.push(fault);
        }
        let mut impacts = self.watch(stage, &names, &calm, before).await;
        let detection_seconds = detection(stage, first_event, before);
        let (repair_seconds, note) = self.repair_and_count(stage, &faults, &names, &mut impacts).await?;
        let cells = names.into_iter().zip(impacts).collect();
        let remarks = remarks::of(self.chapter, &stage.bed.lab.plan(), &faults, &cells);
        Ok(Row { faults: wanted.to_vec(), cells, detection_seconds, repair_seconds, remarks, note })
    }

    /// Observes the impact on each path since the fault.
    async fn watch(&mut self, stage: &Stage, names: &[String], calm: &[Window], from: Moment) -> Vec<Impact> {
        let within = self.audit_plan.within;
        let copies_show = remarks::copies_show(self.chapter, within);
        let watch = Watch { stage, names, calm, from, within, copies_show };
        let Watched { impacts, distrust } = watch.to_the_end().await;
        self.distrust = self.distrust.take().or(distrust);
        impacts
    }

    /// Repairs the faults, counts losses, and waits for the steady state. Returns how long that took, in
    /// seconds, and a note if something went wrong.
    async fn repair_and_count(
        &mut self,
        stage: &mut Stage,
        faults: &[Fault],
        names: &[String],
        impacts: &mut [Impact],
    ) -> Result<(Option<f64>, Option<String>), LabError> {
        // Sessions are counted now if they can be read: a session that the repair removes is not a loss due
        // to the fault.
        let is_down = |(_, impact): &(&String, &Impact)| impact.down || impact.partly_down;
        let down: Vec<_> = names.iter().zip(&*impacts).filter(is_down).map(|(path, _)| path).collect();
        let is_readable = !down.iter().any(|path| *path == paths::SESSION);
        let all_are_known = down.is_empty();
        let sessions = if is_readable { Some(stage.sessions_lost().await) } else { None };
        for repair in faults.iter().flat_map(|fault| repairs(stage, fault)) {
            stage.bed.lab.act(&repair).await?;
        }
        let repaired = stage.bed.now();
        // Members with a lost session fail until they log in again; that is counted, not waited for.
        let others: Vec<_> = names.iter().filter(|path| *path != paths::SESSION).cloned().collect();
        let nothing_is_lost = all_are_known && sessions == Some(0);
        let awaited = if nothing_is_lost { names } else { &others };
        let mut steady = stage.until_steady(awaited, STEADY_FOR, STEADY_MAX).await;
        let sessions = match sessions {
            Some(lost) => lost,
            None => stage.sessions_lost().await,
        };
        let writes = stage.writes_lost().await;
        let unknown = writes.as_ref().err().cloned();
        self.distrust = self.distrust.take().or_else(|| unknown.clone());
        let lost = [(paths::SESSION, sessions), (paths::WRITE, writes.unwrap_or_default())];
        for (path, impact) in names.iter().zip(impacts) {
            let lost = lost.iter().find(|(name, _)| name == path).map_or(0, |(_, lost)| *lost);
            *impact = impact.clone().having_lost(lost);
        }
        // Logs in members whose session is lost or, if none was, those who may have lost it to the repair.
        if nothing_is_lost != steady.is_ok() {
            stage.log_members_in().await;
            steady = stage.until_steady(names, STEADY_FOR, STEADY_MAX).await;
        }
        let repair_seconds = steady.is_ok().then(|| stage.bed.now().saturating_sub(repaired).as_secs_f64());
        let note = steady
            .err()
            .map(|unwell| format!("not steady after the repair: {unwell}; replaced by a fresh lab"));
        let note = note.or(unknown);
        Ok((repair_seconds, note))
    }

    /// Returns a steady architecture: the running one, or a new one.
    async fn steady_stage(&mut self) -> Result<Stage, LabError> {
        if let Some(stage) = self.stage.take() {
            // The other balancer of a pair may still have out what the fault before took out: the next fault of the
            // same machine would then harm nobody.
            match balancers::until_all_in(&stage.bed.lab.plan(), ALL_IN_MAX).await {
                Ok(()) => return Ok(stage),
                Err(_) => stage.stop().await?,
            }
        }
        let AuditPlan { source, place, seed, rate, .. } = self.audit_plan;
        let stage = Stage::start(source, self.chapter.clone(), place, *seed, self.interrupt).await?;
        stage.begin(STEADY_MAX).await;
        stage.set_rate(*rate);
        let names: Vec<_> = stage.paths().cloned().collect();
        let steady = async {
            stage.until_steady(&names, WELL_FOR, STEADY_MAX).await?;
            // A balancer that never sends requests to some server is the architecture's own affair.
            let _ = balancers::until_all_in(&stage.bed.lab.plan(), ALL_IN_MAX).await;
            Ok::<(), String>(())
        };
        let steady = self.interrupt.unless(async { Ok(steady.await) }).await;
        match steady {
            Ok(Ok(())) => {
                self.was_steady = true;
                Ok(stage)
            }
            Ok(Err(unwell)) => {
                stage.stop().await?;
                Err(LabError::Unsteady(format!(
                    "the architecture '{}' does not become steady, so it cannot be audited: after {} s {unwell}",
                    source.name,
                    STEADY_MAX.as_secs()
                )))
            }
            Err(error) => {
                stage.stop().await?;
                Err(error)
            }
        }
    }
}

impl Fault {
    /// Returns the same fault, aimed at the machine that has the role now.
    pub(crate) async fn resolved(&self, lab: &Laboratory) -> Result<Self, LabError> {
        let component = match &self.component {
            Component::Link { from, to } => {
                let from = resolve(lab, from).await?;
                let to = resolve(lab, to).await?;
                // A link from one replica to another.
                let to = if to == from { another_replica(lab, &from).await? } else { to };
                Component::Link { from, to }
            }
            component if component.is_role() => component.called(resolve(lab, &component.name()).await?),
            component => component.clone(),
        };
        Ok(Self { component, ..self.clone() })
    }
}

async fn resolve(lab: &Laboratory, name: &str) -> Result<String, LabError> {
    lab.resolve(name).await.map_err(|_| LabError::Unsteady(format!("no machine is {name} now")))
}

/// Returns a replica other than this one.
async fn another_replica(lab: &Laboratory, replica: &str) -> Result<String, LabError> {
    let plan = lab.plan();
    let kind = plan.machines.get(replica).map(|machine| machine.kind.clone()).unwrap_or_default();
    let primary = resolve(lab, &format!("{kind}:primary")).await?;
    let mut others = plan.of_kind(&kind).map(|machine| machine.name.clone());
    let another = others.find(|name| *name != replica && *name != primary);
    another.ok_or_else(|| LabError::Unsteady(format!("{kind} has no second replica now")))
}

/// Returns the acts by which an operator would repair a fault now: a frozen machine may have been switched
/// off meanwhile, and a restarted one is back by itself.
fn repairs(stage: &Stage, fault: &Fault) -> Vec<Act> {
    let on = stage.bed.lab.machines_on();
    let off = fault.component.machine().filter(|machine| !on.iter().any(|name| name == machine));
    let restart = off.map(|machine| Act::Restart { name: machine.to_owned() });
    match fault.kind {
        FaultKind::Restart => restart.into_iter().collect(),
        FaultKind::Fill => [fault.repair()].into_iter().chain(restart).collect(),
        _ => vec![restart.unwrap_or_else(|| fault.repair())],
    }
}

/// Returns whether an event is a reaction to a failure, by a balancer or by the nodes of a database.
pub(crate) fn is_noticed(what: &Happening) -> bool {
    matches!(what, Happening::Ejected { .. } | Happening::TookOver { .. } | Happening::BecamePrimary { .. })
}

/// Returns the time from the fault to the first reaction to it, in seconds.
fn detection(stage: &Stage, first_event: usize, from: Moment) -> Option<f64> {
    let events = stage.bed.lab.events.since(first_event);
    let at = events.iter().filter(|event| is_noticed(&event.what)).map(|event| event.at).min()?;
    Some(at.saturating_sub(from).as_secs_f64())
}

/// Returns whether the next fault finds the lab as this one did. A lost write stays lost and would be counted
/// again.
fn leaves_all_as_it_was(row: &Row, plan: &Plan, faults: &[Fault]) -> bool {
    let lost = row.cells.get(paths::WRITE).is_some_and(|impact| impact.lost > 0);
    row.note.is_none() && !lost && !moves_roles(plan, faults)
}

/// Returns whether these faults may move roles: a Redis watched by Sentinels returns as a replica, after an
/// unpredictable time.
fn moves_roles(plan: &Plan, faults: &[Fault]) -> bool {
    let watched = plan.machines.values().any(|machine| machine.has(Program::Sentinel));
    let is_redis = |fault: &Fault| {
        let machine = fault.component.machine().and_then(|name| plan.machines.get(name));
        machine.is_some_and(|machine| machine.has(Program::Redis) || machine.has(Program::Sentinel))
    };
    watched && faults.iter().any(is_redis)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::faults::{Restarts, Scope, Selection};
    use super::*;
    use chapter::Source;
    use lab::plan::Deployment;

    const WATCHED: &str = r#"
        number = 1
        title = "t"
        question = "q"
        [machine.web]
        webserver = { db = "db", sessions = "redis", sentinels = "redis" }
        [machine.db]
        dbnode = {}
        [machine.redis]
        redis = {}
        sentinel = { watches = "redis", quorum = 1, down-after = "1s" }
    "#;

    #[test]
    fn a_redis_that_is_watched_is_another_s_copy_afterwards_wherever_it_is() {
        let source = Source::parse(Path::new("watched.toml"), WATCHED, &[]).unwrap();
        let plan = Plan::of(&source.chapter, Deployment::on_paper()).unwrap();
        let wanted = Selection {
            scope: Scope::Everything,
            only: None,
            kills_only: true,
            restarts: Restarts::Each,
            fills: false,
        };
        let changes = |name: &str| {
            let all = faults::faults(&plan, &wanted).unwrap();
            let fault = all.into_iter().find(|fault| fault.component.name() == name).expect(name);
            moves_roles(&plan, &[fault])
        };
        assert!(changes("redis/redis") && changes("redis/sentinel") && changes("redis"));
        assert!(!changes("web") && !changes("db"));
    }
}
