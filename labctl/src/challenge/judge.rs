//! The judge: the cheapest checks come first, and nothing is started for an architecture that is over the budget.

use std::time::Instant;

use serde::Serialize;

use super::task::{Kept, Survives, Task};
use super::workload::{self, Item};
use crate::audit::{self, Audit, AuditPlan, Restarts, Scope, Selection, paths};
use crate::runner::{Emitter, EventKind, Observer};
use crate::table::{CapacityMeter, Carried, Prices};
use chapter::Source;
use lab::error::{EXIT_FAILED, EXIT_INCONCLUSIVE, LabError};
use lab::interrupt::Interrupt;
use lab::site::SiteArgs;
use lab::{Plan, redis};
use load::Objective;

/// Duration of a capacity probe at one rate.
const PROBE: std::time::Duration = std::time::Duration::from_secs(3);
/// Requests a second on each path while faults are injected.
const AUDIT_RATE: f64 = 10.0;

/// An architecture submitted to solve a task, and its bill.
#[derive(Debug, Clone)]
pub struct Solution {
    source: Source,
    plan: Plan,
    bill: Vec<Item>,
}

/// The outcome of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The architecture meets the requirement.
    Met,
    /// It does not meet the requirement.
    Missed,
    /// Undecided: the computer was too busy to measure it.
    Unclear,
}

/// One requirement, and what was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// The requirement, as in [`Task::wanted`].
    pub wanted: String,
    /// Whether it is met.
    pub outcome: Outcome,
    /// The finding, in a sentence.
    pub found: String,
}

/// The judge's report on a solution.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// The task's name.
    pub challenge: &'static str,
    /// The solution's name.
    pub architecture: String,
    /// The total cost, in dollars a month.
    pub cost: f64,
    /// The bill, by kind of machine.
    pub bill: Vec<Item>,
    /// The checks that were made, in order. Judging ends with the first that is not met.
    pub checks: Vec<Check>,
    /// True when every check was made and met.
    pub solved: bool,
}

impl Judged {
    /// Returns the exit code. 0: solved. 1: not solved. 3: the computer was too busy to say.
    pub fn exit_code(&self) -> u8 {
        match self.checks.last().map(|check| check.outcome) {
            _ if self.solved => 0,
            Some(Outcome::Unclear) => EXIT_INCONCLUSIVE,
            _ => EXIT_FAILED,
        }
    }
}

/// Reads a solution, and applies the challenges' workload to it. Nothing is started.
pub fn open(file: &str, place: &SiteArgs) -> Result<Solution, LabError> {
    let source = audit::library::open(file)?;
    let refused = |reasons: Vec<String>| LabError::Usage(format!("{file}: {}", reasons.join("\n  ")));
    let source = workload::given(source).map_err(refused)?;
    let plan = Plan::of(&source.chapter, place.deployment()).map_err(LabError::Usage)?;
    let bill = workload::bill(&source, &plan, &Prices::built_in()).map_err(LabError::Usage)?;
    Ok(Solution { source, plan, bill })
}

/// Judges a solution, check by check, until one is not met. `on_check` is called with each check when it
/// is done.
pub async fn judge(
    task: &Task,
    solution: &Solution,
    place: &SiteArgs,
    observer: &dyn Observer,
    interrupt: &Interrupt,
    on_check: impl Fn(&Check),
) -> Result<Judged, LabError> {
    let (cost, bill) = (workload::total(&solution.bill), solution.bill.clone());
    let mut judged = Judged {
        challenge: task.name,
        architecture: solution.source.name.clone(),
        cost,
        bill,
        checks: vec![],
        solved: false,
    };
    let mut is_met = |check: Check| {
        on_check(&check);
        let is_met = check.outcome == Outcome::Met;
        judged.checks.push(check);
        is_met
    };
    let judging = Judging { task, solution, place, interrupt, observer };
    let mut wanted = task.wanted().into_iter();
    let mut next = || wanted.next().unwrap_or_default();
    if !is_met(judging.price(next(), cost)) {
        return Ok(judged);
    }
    redis::check(&solution.plan)?;
    let (rate, after_kill) = judging.carries(next(), task.rate_after_kill.map(|_| next())).await?;
    if !is_met(rate) || !after_kill.is_none_or(&mut is_met) {
        return Ok(judged);
    }
    if task.survives != Survives::Nothing {
        let audit = judging.audit().await?;
        if !is_met(survived(&audit, next())) {
            return Ok(judged);
        }
        for kept in &task.keeps {
            if !is_met(kept_all(&audit, *kept, next())) {
                return Ok(judged);
            }
        }
    }
    judged.solved = true;
    Ok(judged)
}

struct Judging<'a> {
    task: &'a Task,
    solution: &'a Solution,
    place: &'a SiteArgs,
    interrupt: &'a Interrupt,
    observer: &'a dyn Observer,
}

impl Judging<'_> {
    fn price(&self, wanted: String, cost: f64) -> Check {
        let line = |item: &Item| match item.size > 1.0 {
            false => format!("{} {} × ${:.0}", item.kind, item.count, item.each),
            true => format!(
                "{} {} × ${:.0} (of {:.3} the usual size)",
                item.kind, item.count, item.each, item.size
            ),
        };
        let items = self.solution.bill.iter().map(line).collect::<Vec<_>>().join(", ");
        let outcome = if cost <= self.task.budget { Outcome::Met } else { Outcome::Missed };
        Check { wanted, outcome, found: format!("${cost:.0}: {items}") }
    }

    /// Checks whether it carries the task's rate and, if the task asks for that, the rate with any one program dead.
    async fn carries(
        &self,
        wanted: String,
        wanted_after_kill: Option<String>,
    ) -> Result<(Check, Option<Check>), LabError> {
        let Task { rate, rate_after_kill, p99, .. } = self.task;
        let emitter = Emitter::new(self.observer, Instant::now());
        let doing = |what: &str| emitter.emit(EventKind::Doing { what });
        let meter = CapacityMeter {
            source: &self.solution.source,
            place: self.place,
            objective: &Objective::new(p99.0, PROBE),
            seed: 42,
            interrupt: self.interrupt,
            doing: &doing,
        };
        let Carried { whole, after_kill } = meter.carries(*rate, *rate_after_kill).await?;
        let outcome = |met: bool, distrust: &Option<String>| match distrust {
            _ if met => Outcome::Met,
            Some(_) => Outcome::Unclear,
            None => Outcome::Missed,
        };
        let p99 = whole.p99.as_secs_f64() * 1e3;
        let found = match &whole.distrust {
            Some(why) if !whole.met => format!("the computer was too busy to say: {why}"),
            _ => format!(
                "at that rate 99 % of the answers came within {p99:.0} ms, and {} failed",
                whole.failed
            ),
        };
        let rate = Check { wanted, outcome: outcome(whole.met, &whole.distrust), found };
        let after_kill = wanted_after_kill.zip(after_kill).map(|(wanted, left)| {
            let met = left.distrust.is_none() && rate_after_kill.is_some_and(|rate| left.rate >= rate);
            let found = match &left.distrust {
                Some(why) => format!("the computer was too busy to say: {why}"),
                None => format!("the least is {:.0} a second, without {}", left.rate, left.without),
            };
            Check { wanted, outcome: outcome(met, &left.distrust), found }
        });
        Ok((rate, after_kill))
    }

    async fn audit(&self) -> Result<Audit, LabError> {
        let kills_only = self.task.survives == Survives::AnyKill;
        let audit_plan = AuditPlan {
            source: self.solution.source.clone(),
            place: self.place.clone(),
            wanted: Selection {
                scope: Scope::OneOfEach,
                only: None,
                kills_only,
                restarts: Restarts::Each,
                fills: !kills_only,
            },
            depth: 1,
            within: audit::WITHIN,
            rate: AUDIT_RATE,
            seed: 42,
            part: (0, 1),
        };
        audit::audit(&audit_plan, self.interrupt, self.observer).await
    }
}

fn survived(audit: &Audit, wanted: String) -> Check {
    let points = audit.single_points_of_any();
    let downs = |point: &String| {
        let paths = audit.paths.iter().filter(|(path, _)| audit.single_points(path).contains(point));
        format!("{point} takes down {}", paths.map(|(path, _)| path.as_str()).collect::<Vec<_>>().join(", "))
    };
    let (outcome, found) = match &audit.distrust {
        _ if !points.is_empty() => (Outcome::Missed, points.iter().map(downs).collect::<Vec<_>>().join("; ")),
        Some(why) => (Outcome::Unclear, format!("the computer was too busy to say: {why}")),
        None => (Outcome::Met, format!("{} faults were tried, and no path stayed down", audit.rows.len())),
    };
    Check { wanted, outcome, found }
}

fn kept_all(audit: &Audit, kept: Kept, wanted: String) -> Check {
    let path = match kept {
        Kept::Writes => paths::WRITE,
        Kept::Sessions => paths::SESSION,
    };
    let losses = audit.singles().filter_map(|row| {
        let lost = row.cells.get(path)?.lost;
        (lost > 0).then(|| format!("{lost} with {}", row.title()))
    });
    let losses = losses.collect::<Vec<_>>();
    let (outcome, found) = match losses.is_empty() {
        true => (Outcome::Met, "none was lost".to_owned()),
        false => (Outcome::Missed, format!("lost: {}", losses.join("; "))),
    };
    Check { wanted, outcome, found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Class;
    use crate::audit::matrix::tests::{audit as audited, impact, program, row};

    fn check(outcome: Outcome) -> Check {
        Check { wanted: "w".into(), outcome, found: "f".into() }
    }

    #[test]
    fn what_takes_a_path_down_is_named_with_the_path() {
        let down = row(vec![program("db", &["db"])], &[("write", impact(Class::Outage, 10.0, 0))]);
        let Check { outcome, found, .. } = survived(&audited(vec![down]), "w".into());
        assert_eq!((outcome, &*found), (Outcome::Missed, "db takes down write"));
        let fine = row(vec![program("db", &["db"])], &[("write", impact(Class::Blip, 1.0, 0))]);
        assert_eq!(survived(&audited(vec![fine]), "w".into()).outcome, Outcome::Met);
    }

    #[test]
    fn a_busy_computer_costs_no_point_and_a_single_point_is_told_all_the_same() {
        let busy = |rows| Audit { distrust: Some("busy".into()), ..audited(rows) };
        assert_eq!(survived(&busy(vec![]), "w".into()).outcome, Outcome::Unclear);
        let down = row(vec![program("db", &["db"])], &[("write", impact(Class::Outage, 10.0, 0))]);
        assert_eq!(survived(&busy(vec![down]), "w".into()).outcome, Outcome::Missed);
    }

    #[test]
    fn a_lost_write_is_told_with_the_fault_that_lost_it() {
        let lost = row(vec![program("db:primary", &["db-1"])], &[("write", impact(Class::Blip, 1.0, 7))]);
        let Check { outcome, found, .. } = kept_all(&audited(vec![lost]), Kept::Writes, "w".into());
        assert_eq!(outcome, Outcome::Missed);
        assert!(found.starts_with("lost: 7 with "), "{found}");
    }

    #[test]
    fn the_exit_code_tells_unsolved_from_undecided() {
        let judged = |checks: Vec<Check>, solved| Judged {
            challenge: "c",
            architecture: "a".into(),
            cost: 0.0,
            bill: vec![],
            checks,
            solved,
        };
        assert_eq!(judged(vec![check(Outcome::Met)], true).exit_code(), 0);
        assert_eq!(judged(vec![check(Outcome::Met), check(Outcome::Missed)], false).exit_code(), EXIT_FAILED);
        assert_eq!(judged(vec![check(Outcome::Unclear)], false).exit_code(), EXIT_INCONCLUSIVE);
    }
}
