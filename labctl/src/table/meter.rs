//! Measures the capacity of an architecture, intact and with one program dead.

use std::time::Duration;

use anyhow::Context;

use super::rows::{MeasuredCapacity, ResidualCapacity};
use crate::audit::paths;
use crate::audit::{Component, Fault, Restarts, Scope, Selection, Stage, faults, is_noticed};
use crate::runner::HostWatch;
use crate::testbed::stream_of;
use chapter::role::{self, Role};
use chapter::traffic::Traffic;
use chapter::{Chapter, Source};
use lab::error::LabError;
use lab::interrupt::Interrupt;
use lab::site::SiteArgs;
use load::{Objective, Outcome, Tried, find_capacity, probe};

const LOAD: &str = include_str!("../../architectures/load.toml");

/// The request mix: each traffic's share of all requests.
const MIX: [(&str, f64); 2] = [("pages", 0.95), ("accounts", 0.05)];
/// Preparation, with rates in requests per second: accounts are opened, and caches filled.
const ACCOUNTS_OPEN: (&str, f64) = ("accounts-open", 20.0);
const PAGES_READ: (&str, f64) = ("pages-read", 300.0);
/// After a kill, maximum wait for its detection: three checks, and a takeover.
const NOTICE: Duration = Duration::from_millis(5000);
/// Time within which a restarted machine has to serve again.
const BACK_MAX: Duration = Duration::from_secs(15);

/// Returns an architecture with the traffic that measures its capacity.
pub(super) fn loaded(architecture: &Chapter) -> Result<Chapter, String> {
    let entry = paths::entry(architecture)?;
    let products = architecture.machine.values().filter_map(|machine| machine.dbnode.as_ref());
    let products = products.map(|database| database.products).max().filter(|count| *count > 0);
    let products = products.ok_or("the database of this architecture begins without products")?;
    let text = LOAD.replace("{entry}", &entry).replace("{products}", &products.to_string());
    #[derive(serde::Deserialize)]
    struct Load {
        traffic: indexmap::IndexMap<String, Traffic>,
    }
    let load: Load = toml::from_str(&text).map_err(|error| error.message().to_owned())?;
    Ok(Chapter { traffic: load.traffic, ..architecture.clone() })
}

/// Measures the capacity of one architecture.
pub(crate) struct CapacityMeter<'a> {
    pub(crate) source: &'a Source,
    pub(crate) place: &'a SiteArgs,
    pub(crate) objective: &'a Objective,
    pub(crate) seed: u64,
    pub(crate) interrupt: &'a Interrupt,
    /// Receives progress messages.
    pub(crate) doing: &'a (dyn Fn(&str) + Sync),
}

/// Whether an architecture carries a rate.
pub(crate) struct Carried {
    /// How the rate went with everything alive.
    pub(crate) whole: Tried,
    /// The lowest rate that it carried with a single program dead. `None` when that was not requested, or when it does not
    /// carry the rate with everything alive.
    pub(crate) after_kill: Option<ResidualCapacity>,
}

impl CapacityMeter<'_> {
    /// Measures the capacity, searching from this rate, and what is left while the worst single program is
    /// dead.
    pub(super) async fn measure(&self, from: f64) -> Result<(MeasuredCapacity, ResidualCapacity), LabError> {
        let chapter = loaded(&self.source.chapter).map_err(LabError::Usage)?;
        (self.doing)("starting it");
        let stage = Stage::start(self.source, chapter.clone(), self.place, self.seed, self.interrupt).await?;
        let measured = self.interrupt.unless(self.measure_on(&stage, &chapter, from)).await;
        let ended = stage.stop().await;
        measured.and_then(|found| ended.map(|()| found))
    }

    /// Tries one rate, and then another with each single program dead, until one is too much.
    pub(crate) async fn carries(&self, rate: f64, after_kill: Option<f64>) -> Result<Carried, LabError> {
        let chapter = loaded(&self.source.chapter).map_err(LabError::Usage)?;
        (self.doing)("starting it");
        let stage = Stage::start(self.source, chapter.clone(), self.place, self.seed, self.interrupt).await?;
        let carried = self.interrupt.unless(self.carries_on(&stage, &chapter, rate, after_kill)).await;
        let ended = stage.stop().await;
        carried.and_then(|carried| ended.map(|()| carried))
    }

    async fn carries_on(
        &self,
        stage: &Stage,
        chapter: &Chapter,
        rate: f64,
        after_kill: Option<f64>,
    ) -> Result<Carried, LabError> {
        self.open_accounts(stage).await?;
        self.fill_cache(stage).await?;
        (self.doing)(&format!("sending {rate:.0} requests a second"));
        let whole = self.try_rate(stage, chapter, rate, self.objective).await?;
        let mut least: Option<ResidualCapacity> = None;
        let Some(wanted) = after_kill.filter(|_| whole.met) else {
            return Ok(Carried { whole, after_kill: least });
        };
        for fault in killable(stage)? {
            (self.doing)(&format!(
                "sending {wanted:.0} requests a second without {}",
                fault.component.name()
            ));
            let left = self.without(stage, chapter, &fault, wanted).await?;
            let is_too_much = left.rate < wanted;
            if least.as_ref().is_none_or(|least| left.rate < least.rate) {
                least = Some(left);
            }
            if is_too_much {
                break;
            }
        }
        Ok(Carried { whole, after_kill: least })
    }

    async fn measure_on(
        &self,
        stage: &Stage,
        chapter: &Chapter,
        from: f64,
    ) -> Result<(MeasuredCapacity, ResidualCapacity), LabError> {
        self.open_accounts(stage).await?;
        self.fill_cache(stage).await?;
        let strength = self.search(stage, chapter, from, self.objective).await?;
        if strength.rate <= 0.0 {
            let distrust = strength.distrust.clone();
            return Ok((strength, ResidualCapacity { rate: 0.0, without: "anything".into(), distrust }));
        }
        let mut worst: Option<ResidualCapacity> = None;
        for fault in killable(stage)? {
            (self.doing)(&format!("what is left without {}", fault.component.name()));
            let most = worst.as_ref().map_or(strength.rate, |worst| worst.rate);
            let left = self.without(stage, chapter, &fault, most).await?;
            // Nothing can be worse than no capacity.
            let is_nothing = left.rate == 0.0 && left.distrust.is_none();
            if worst.as_ref().is_none_or(|worst| left.rate < worst.rate) {
                worst = Some(left);
            }
            if is_nothing {
                break;
            }
        }
        Ok((strength, worst.unwrap_or_default()))
    }

    /// Measures the capacity with one program dead, capped at `most`: it does not matter whether it could be
    /// higher. The program is restarted afterwards.
    async fn without(
        &self,
        stage: &Stage,
        chapter: &Chapter,
        fault: &Fault,
        most: f64,
    ) -> Result<ResidualCapacity, LabError> {
        let without = fault.component.name();
        let fault = fault.resolved(&stage.bed.lab).await?;
        let first_event = stage.bed.lab.events.count();
        stage.bed.lab.act(&fault.act()).await?;
        stage.bed.lab.events.wait_for(first_event, NOTICE, is_noticed).await;
        let anything = Objective { p99: self.objective.p99 * 5, ..self.objective.clone() };
        let least = (most / 10.0).max(20.0);
        let (rate, distrust) = if self.try_rate(stage, chapter, most, self.objective).await?.met {
            (most, None)
        } else {
            match self.try_rate(stage, chapter, least, &anything).await? {
                Tried { met: true, .. } => {
                    let too_much = Some(most);
                    let rough = Objective { precision: 0.1, stride: 2.0, too_much, ..self.objective.clone() };
                    let found = self.search(stage, chapter, most / 2.0, &rough).await?;
                    (found.rate, found.distrust)
                }
                Tried { distrust, .. } => (0.0, distrust),
            }
        };
        stage.bed.lab.act(&fault.repair()).await?;
        if rate > 0.0 || distrust.is_some() {
            self.open_accounts(stage).await?;
            // After any other fault the cached copies are still there.
            if fault.component.what() == "redis" {
                self.fill_cache(stage).await?;
            }
        }
        Ok(ResidualCapacity { rate, without, distrust })
    }

    async fn search(
        &self,
        stage: &Stage,
        chapter: &Chapter,
        from: f64,
        objective: &Objective,
    ) -> Result<MeasuredCapacity, LabError> {
        let mix = self.mix(stage, chapter)?;
        let tell = |rate: f64, tried: &_| (self.doing)(&format!("{rate:.0} requests a second are {tried}"));
        let found = find_capacity(&stage.bed.generator, mix, from, objective, tell).await;
        let (estimate, distrust) = found.map_err(|error| LabError::Usage(error.to_string()))?;
        Ok(MeasuredCapacity { low: estimate.low, high: estimate.high, rate: estimate.rate(), distrust })
    }

    /// Tries a rate, and once more when the first trial missed the objective.
    async fn try_rate(
        &self,
        stage: &Stage,
        chapter: &Chapter,
        rate: f64,
        objective: &Objective,
    ) -> Result<Tried, LabError> {
        let mut ids = Vec::new();
        for (stream, share) in self.mix(stage, chapter)? {
            let patience = stream.patience();
            let id = stage.bed.generator.add(stream).map_err(|error| LabError::Usage(error.to_string()))?;
            ids.push((id, share, patience));
        }
        let patience = ids.iter().map(|(_, _, patience)| *patience).max().unwrap_or_default();
        let ids: Vec<_> = ids.into_iter().map(|(id, share, _)| (id, share)).collect();
        let host = HostWatch::begin(stage.bed.lab.events.clock().origin).context("watch the computer")?;
        let first = probe(&stage.bed.generator, &ids, rate, objective, patience).await;
        if first.met {
            return Ok(first);
        }
        let from = stage.bed.now();
        let mut second = probe(&stage.bed.generator, &ids, rate, objective, patience).await;
        if !second.met {
            // A machine whose work was granted late is not one that cannot do it.
            second.distrust = second.distrust.or_else(|| host.busy(from, stage.bed.now()));
        }
        Ok(second)
    }

    fn mix(&self, stage: &Stage, chapter: &Chapter) -> Result<Vec<(load::Stream, f64)>, LabError> {
        let plan = stage.bed.lab.plan();
        let stream = |(name, share): &(&str, f64)| {
            Ok((stream_of(name, &chapter.traffic[*name], &plan, self.seed)?, *share))
        };
        MIX.iter().map(stream).collect()
    }

    /// Makes a deposit to every account.
    async fn open_accounts(&self, stage: &Stage) -> Result<(), LabError> {
        self.until_served(stage, ACCOUNTS_OPEN).await
    }

    /// Reads every page once, where there is a cache.
    async fn fill_cache(&self, stage: &Stage) -> Result<(), LabError> {
        let has_cache = self.source.chapter.machine.values().any(|machine| {
            machine.webserver.as_ref().and_then(|web| web.cache.as_ref()).is_some_and(|kind| kind != "none")
        });
        if !has_cache {
            return Ok(());
        }
        (self.doing)("filling its cache");
        self.until_served(stage, PAGES_READ).await
    }

    /// Sends a batch again and again until all of it succeeds.
    async fn until_served(&self, stage: &Stage, (traffic, rate): (&str, f64)) -> Result<(), LabError> {
        let deadline = stage.bed.now() + BACK_MAX;
        loop {
            let from = stage.bed.now();
            stage.send(traffic, rate).await;
            let window = stage.bed.window(traffic, from, load::Moment::MAX);
            if window.failed() == 0 && window.requests() > 0 {
                return Ok(());
            }
            if stage.bed.now() > deadline {
                let outcome = window.outcomes().into_keys().find(|outcome| !outcome.is_success());
                return Err(LabError::Unsteady(format!(
                    "the architecture '{}' does not become steady, so its capacity cannot be measured: {} of {} requests fail ({})",
                    self.source.name,
                    window.failed(),
                    window.requests(),
                    outcome.map_or("no answer", Outcome::name)
                )));
            }
        }
    }
}

/// Returns one kill per kind of program. Databases and then Redis come first: they probably leave the least,
/// and the lower the minimum so far, the sooner the other trials end. A standby carries no load and is left
/// out.
fn killable(stage: &Stage) -> Result<Vec<Fault>, LabError> {
    let wanted = Selection {
        scope: Scope::OneOfEach,
        only: None,
        kills_only: true,
        restarts: Restarts::Each,
        fills: false,
    };
    let mut faults = faults::faults(&stage.bed.lab.plan(), &wanted).map_err(LabError::Usage)?;
    faults.retain(|fault| {
        let Component::Program { name, program } = &fault.component else { return false };
        let stands_by = matches!(role::parse(name), Some((_, Role::Standby)));
        *program != "sentinel" && !stands_by
    });
    faults.sort_by_key(|fault| match fault.component.what() {
        "dbnode" => 0,
        "redis" => 1,
        _ => 2,
    });
    // After a failover, the replica is what the first Redis was.
    let mut redis = 0;
    faults.retain(|fault| {
        redis += usize::from(fault.component.what() == "redis");
        fault.component.what() != "redis" || redis == 1
    });
    Ok(faults)
}
