//! A running lab with its traffic at rest: how to get there from a chapter, and what can be asked of it
//! afterwards.
//!
//! ```text
//! ClaimedSite::claim ──plan, directory, lock, clock──> start ──generator, streams, machines──> Testbed ──> close
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use indexmap::IndexMap;
use tokio_util::task::AbortOnDropHandle;

use super::histories::Histories;
use super::traffic::add_streams;
use chapter::{Chapter, Source};
use lab::error::LabError;
use lab::events::Clock;
use lab::interrupt::Interrupt;
use lab::site::{self, SiteArgs};
use lab::{Laboratory, Plan, Site};
use load::{Generator, Moment, StreamId, Unsettled, Window};

/// Extra time, beyond a request's patience, for its outcome to be recorded.
const SETTLE_MARGIN: Duration = Duration::from_secs(2);

/// A site that was claimed for a lab, before anything is started. By then everything that is missing on this
/// computer has been reported.
#[derive(Debug)]
pub struct ClaimedSite {
    /// The machines to start there.
    pub plan: Plan,
    /// The lab's clock, which starts when the site is claimed.
    pub clock: Clock,
    site: Site,
}

impl ClaimedSite {
    /// Claims a site for a chapter's machines.
    pub fn claim(chapter: &Chapter, place: &SiteArgs) -> Result<Self, LabError> {
        Self::claim_at(Clock::start(), chapter, place)
    }

    /// Claims a site for a lab whose clock is already running.
    pub fn claim_at(clock: Clock, chapter: &Chapter, place: &SiteArgs) -> Result<Self, LabError> {
        let plan = Plan::of(chapter, place.deployment()).map_err(LabError::Usage)?;
        Ok(Self { plan, clock, site: Site::claim(place)? })
    }

    /// Returns the log directory of a lab that does not keep its logs, after removing those of the previous
    /// lab.
    pub fn own_logs(&self) -> Result<PathBuf, LabError> {
        let logs = self.site.lab_directory.join("logs");
        site::empty_directory(&logs)?;
        Ok(logs)
    }

    /// Starts the machines, without any traffic.
    pub async fn start_machines(
        self,
        source: &Source,
        logs: &Path,
        results: Option<PathBuf>,
        interrupt: &Interrupt,
    ) -> Result<Arc<Laboratory>, LabError> {
        Laboratory::start(source, self.plan, self.site, logs, results, self.clock, interrupt).await
    }
}

/// A running lab and its load generator.
#[derive(Debug)]
pub struct Testbed {
    /// Its machines.
    pub lab: Arc<Laboratory>,
    /// Sends the requests.
    pub generator: Generator,
    /// The machines and traffics, as a chapter.
    pub chapter: Chapter,
    /// The traffics, by name.
    pub streams: IndexMap<String, StreamId>,
    /// What the traffics do to records, where a history is recorded.
    pub histories: Histories,
    watch: AbortOnDropHandle<()>,
}

/// Everything needed to start a testbed.
#[derive(Debug)]
pub struct Opening<'a> {
    /// The chapter's file; its name and text are stored for other labctl processes.
    pub source: &'a Source,
    /// The chapter to start: the source's own, or one derived from it.
    pub chapter: Chapter,
    /// Directory for the machines' logs.
    pub logs: &'a Path,
    /// Directory in which histories are recorded as they happen, if any.
    pub results: Option<PathBuf>,
    /// The seed of arrivals and keys.
    pub seed: u64,
}

impl Testbed {
    /// Starts everything, with all traffic at rest. On failure nothing is left running.
    pub async fn start(
        site: ClaimedSite,
        opening: Opening<'_>,
        interrupt: &Interrupt,
    ) -> Result<Self, LabError> {
        let Opening { source, chapter, logs, results, seed } = opening;
        let generator = Generator::start(site.clock.origin).context("start the load generator")?;
        let mut histories = Histories::written_to(results.clone());
        let streams = add_streams(&chapter, &site.plan, &generator, seed, &mut histories)?;
        let lab = site.start_machines(source, logs, results, interrupt).await?;
        let watch = lab.watch();
        Ok(Self { lab, generator, chapter, streams, histories, watch })
    }

    /// Stops everything. `Err` says what could not be stopped.
    pub async fn close(self) -> Result<(), LabError> {
        let Self { lab, generator, watch, .. } = self;
        let closed = lab.close().await;
        generator.stop();
        // The watch holds the lab and thus its site: without it, the next lab finds the site free.
        watch.abort();
        let _ = watch.await;
        closed
    }

    /// Hands the histories over to the run that checks them; empty ones stay here.
    pub fn take_histories(&mut self) -> Histories {
        std::mem::take(&mut self.histories)
    }

    /// Returns the time since the lab began.
    pub fn now(&self) -> Moment {
        self.generator.recorder().now()
    }

    /// Returns one traffic's window between two moments.
    pub fn window(&self, traffic: &str, from: Moment, to: Moment) -> Window {
        self.generator.recorder().window(self.streams[traffic], from, to)
    }

    /// Returns the longest time that a request can remain without an outcome.
    pub fn patience(&self) -> Duration {
        let longest = self.chapter.traffic.values().map(chapter::Traffic::patience).max();
        longest.unwrap_or_default() + SETTLE_MARGIN
    }

    /// Waits until every request that was due before `to` has an outcome. `Err` says which have none by then.
    pub async fn settle(&self, to: Moment) -> Result<(), Unsettled> {
        self.generator.recorder().settled(to, self.patience()).await
    }
}
