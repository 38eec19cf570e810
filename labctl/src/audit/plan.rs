//! An audit: its configuration and its result.

use std::time::{Duration, Instant};

use super::auditor::Auditor;
use super::faults::{self, Fault, Scope, Selection};
use super::matrix::{Audit, SCHEMA};
use super::paths;
use crate::runner::{Emitter, Observer};
use chapter::{Chapter, Source};
use lab::error::LabError;
use lab::interrupt::Interrupt;
use lab::site::SiteArgs;
use lab::{Plan, redis};

/// A path that recovers on its own within this time does not count as down.
pub const WITHIN: Duration = Duration::from_secs(10);
/// The limit of a quick audit: longer than a balancer's three checks, and than an election.
pub const QUICK_WITHIN: Duration = Duration::from_secs(7);

/// The configuration of an audit.
#[derive(Debug, Clone)]
pub struct AuditPlan {
    /// The architecture.
    pub source: Source,
    /// Where to run it.
    pub place: SiteArgs,
    /// The selected faults.
    pub wanted: Selection,
    /// Maximum number of simultaneous faults: 1 or 2.
    pub depth: usize,
    /// A path that recovers on its own within this time does not count as down.
    pub within: Duration,
    /// Requests a second on each path.
    pub rate: f64,
    /// Seed of the random keys.
    pub seed: u64,
    /// Which part of all faults is tested, and the number of parts: the first of four is `(0, 4)`.
    pub part: (usize, usize),
}

impl AuditPlan {
    /// Estimates the duration of one fault, in seconds.
    pub fn each_seconds(&self) -> f64 {
        self.within.as_secs_f64() * 0.5 + 6.0
    }

    /// Checks whether the audit can run here, before anything is started.
    pub fn check(&self) -> Result<(), LabError> {
        if self.place.redis_url.is_some()
            && self.source.chapter.machine.values().any(|one| one.redis.is_some())
        {
            return Err(LabError::NotReady(
                "labctl cannot break an external Redis, and the audit would look as if nothing depended on it: unset LABCTL_REDIS_URL"
                    .into(),
            ));
        }
        redis::check(&self.plan()?)
    }

    /// Returns the architecture with traffic on every path.
    fn chapter(&self) -> Result<Chapter, LabError> {
        paths::prepared(&self.source.chapter).map_err(LabError::Usage)
    }

    /// Returns the deployment plan.
    pub fn plan(&self) -> Result<Plan, LabError> {
        Plan::of(&self.chapter()?, self.place.deployment()).map_err(LabError::Usage)
    }

    /// Lists the faults to inject, in order.
    pub fn faults(&self, plan: &Plan) -> Result<Vec<Fault>, LabError> {
        let all = faults::faults(plan, &self.wanted)
            .map_err(|none| LabError::Usage(format!("in '{}' {none}", self.source.name)))?;
        let (part, of) = self.part;
        Ok(all.chunks(all.len().div_ceil(of).max(1)).nth(part).unwrap_or_default().to_vec())
    }
}

/// Audits an architecture.
pub async fn audit(
    audit_plan: &AuditPlan,
    interrupt: &Interrupt,
    observer: &dyn Observer,
) -> Result<Audit, LabError> {
    audit_plan.check()?;
    let chapter = audit_plan.chapter()?;
    let (began, started) = (jiff::Timestamp::now(), Instant::now());
    let plan = audit_plan.plan()?;
    let single: Vec<_> = audit_plan.faults(&plan)?.into_iter().map(|fault| vec![fault]).collect();
    let mut auditor = Auditor::new(audit_plan, &chapter, interrupt, Emitter::new(observer, started));
    let looked = auditor.try_all(single).await;
    let left = auditor.finish().await;
    let (rows, distrust) = (looked?, left?);
    let paths = chapter.traffic.keys().filter(|name| paths::is_path(name));
    Ok(Audit {
        schema: SCHEMA,
        architecture: audit_plan.source.name.clone(),
        title: chapter.title.clone(),
        began,
        seconds: started.elapsed().as_secs_f64(),
        within_seconds: audit_plan.within.as_secs_f64(),
        rate: audit_plan.rate,
        one_of_each: audit_plan.wanted.scope == Scope::OneOfEach,
        depth: audit_plan.depth,
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
