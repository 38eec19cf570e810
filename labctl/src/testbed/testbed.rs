//! A lab that runs, with its traffics at rest: what has to be done from a chapter to there, and what is asked of it
//! from then on.
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

/// Beyond the patience of a request, how long its outcome may take to be written down.
const SETTLE_MARGIN: Duration = Duration::from_secs(2);

/// A site that was claimed for a lab, before anything is started. Whatever is missing on this computer was reported
/// by then.
#[derive(Debug)]
pub struct ClaimedSite {
    /// The machines to start there.
    pub plan: Plan,
    /// The time of the lab began when it was claimed.
    pub clock: Clock,
    site: Site,
}

impl ClaimedSite {
    /// Claims a place for a chapter's machines.
    pub fn claim(chapter: &Chapter, place: &SiteArgs) -> Result<Self, LabError> {
        Self::claim_at(Clock::start(), chapter, place)
    }

    /// The same, for a lab whose time began before.
    pub fn claim_at(clock: Clock, chapter: &Chapter, place: &SiteArgs) -> Result<Self, LabError> {
        let plan = Plan::of(chapter, place.place()).map_err(LabError::Usage)?;
        Ok(Self { plan, clock, site: Site::claim(place)? })
    }

    /// The directory for logs of a lab that keeps none: those of the last one are removed.
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

/// A lab that runs, and what sends it requests.
#[derive(Debug)]
pub struct Testbed {
    /// Its machines.
    pub lab: Arc<Laboratory>,
    /// What sends it requests.
    pub generator: Generator,
    /// The machines and traffics, as a chapter.
    pub chapter: Chapter,
    /// The traffics, by name.
    pub streams: IndexMap<String, StreamId>,
    /// What its traffics do to records, where that is written down.
    pub histories: Histories,
    watch: AbortOnDropHandle<()>,
}

/// How a testbed is started.
#[derive(Debug)]
pub struct Opening<'a> {
    /// The chapter's file: its name and text are kept for other labctls.
    pub source: &'a Source,
    /// What is started: the source's chapter, or one made of it.
    pub chapter: Chapter,
    /// Where the machines' logs go.
    pub logs: &'a Path,
    /// Where histories are written down as they happen, if anywhere.
    pub results: Option<PathBuf>,
    /// The seed of arrivals and keys.
    pub seed: u64,
}

impl Testbed {
    /// Starts everything, at rest. When this fails, nothing is left running.
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

    /// Ends everything. `Err` says what stays.
    pub async fn close(self) -> Result<(), LabError> {
        let Self { lab, generator, watch, .. } = self;
        let closed = lab.close().await;
        generator.stop();
        // The watch holds the lab, and with it its place: the next one finds it free.
        watch.abort();
        let _ = watch.await;
        closed
    }

    /// Hands the histories over to whatever judges them; empty ones stay here.
    pub fn take_histories(&mut self) -> Histories {
        std::mem::take(&mut self.histories)
    }

    /// The time since the lab began.
    pub fn now(&self) -> Moment {
        self.generator.recorder().now()
    }

    /// One traffic between two moments.
    pub fn window(&self, traffic: &str, from: Moment, to: Moment) -> Window {
        self.generator.recorder().window(self.streams[traffic], from, to)
    }

    /// How long a request can go without an outcome.
    pub fn patience(&self) -> Duration {
        let longest = self.chapter.traffic.values().map(chapter::Traffic::patience).max();
        longest.unwrap_or_default() + SETTLE_MARGIN
    }

    /// Waits until every request that was due before `to` has an outcome. `Err` says what has none by then.
    pub async fn settle(&self, to: Moment) -> Result<(), Unsettled> {
        self.generator.recorder().settled(to, self.patience()).await
    }
}
