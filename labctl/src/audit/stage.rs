//! A running architecture with traffic on every path: the object of fault injection and observation.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::sleep;

use super::paths;
use crate::testbed::{ClaimedSite, Opening, Testbed, last_values};
use chapter::measures::Measure;
use chapter::{Chapter, Source};
use lab::error::LabError;
use lab::interrupt::Interrupt;
use lab::site::SiteArgs;
use load::{Moment, Outcome, Rate, Sample, Window};

/// Polling interval.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Requests arrive at random; with fewer than this share of the expected number, there is no verdict.
const ENOUGH: f64 = 0.5;
/// Rate at which members log in, in requests per second.
const MEMBERS_RATE: f64 = 150.0;
/// The answer to a request without a session.
const UNAUTHORIZED: u16 = 401;
/// Extra time for a batch of requests, beyond its expected duration.
const BATCH_MARGIN: Duration = Duration::from_secs(4);

/// A running architecture with traffic on every path.
pub struct Stage {
    /// Its machines and its load generator.
    pub bed: Testbed,
    /// Requests a second on each path.
    rate: Cell<f64>,
}

impl Stage {
    /// Starts an architecture, at rest.
    pub async fn start(
        source: &Source,
        chapter: Chapter,
        place: &SiteArgs,
        seed: u64,
        interrupt: &Interrupt,
    ) -> Result<Self, LabError> {
        let site = ClaimedSite::claim(&chapter, place)?;
        let logs = site.own_logs()?;
        let opening = Opening { source, chapter, logs: &logs, results: None, seed };
        let bed = Testbed::start(site, opening, interrupt).await?;
        Ok(Self { bed, rate: Cell::new(0.0) })
    }

    /// Stops everything. `Err` says what could not be stopped.
    pub async fn stop(self) -> Result<(), LabError> {
        self.bed.close().await
    }

    /// Returns the paths by name.
    pub fn paths(&self) -> impl Iterator<Item = &String> {
        self.bed.streams.keys().filter(|name| paths::is_path(name))
    }

    /// Sets the rate of every path, in requests per second.
    pub fn set_rate(&self, rate: f64) {
        self.rate.set(rate);
        for path in self.paths() {
            self.bed.generator.set_rate(self.bed.streams[path], Rate::Steady(rate));
        }
    }

    /// Opens the accounts and logs every member in, with retries while the machines are still discovering
    /// each other. What still fails at the limit shows on the paths.
    pub async fn begin(&self, limit: Duration) {
        let deadline = self.bed.now() + limit;
        for traffic in [paths::ACCOUNTS_OPEN, paths::MEMBERS_LOG_IN] {
            loop {
                let from = self.bed.now();
                self.send(traffic, MEMBERS_RATE).await;
                let window = self.bed.window(traffic, from, Moment::MAX);
                if (window.failed() == 0 && window.unfinished == 0) || self.bed.now() > deadline {
                    break;
                }
                sleep(LOOK_EVERY).await;
            }
        }
    }

    /// Logs every member in, including those whose session is lost.
    pub async fn log_members_in(&self) {
        self.send(paths::MEMBERS_LOG_IN, MEMBERS_RATE).await;
    }

    /// Counts the members whose session is lost. Requests that fail for other reasons are not counted.
    pub async fn sessions_lost(&self) -> usize {
        let from = self.bed.now();
        self.send(paths::MEMBERS_LOOK, MEMBERS_RATE).await;
        let window = self.bed.window(paths::MEMBERS_LOOK, from, Moment::MAX);
        window.samples().iter().filter(|sample| sample.status == UNAUTHORIZED).count()
    }

    /// Counts the acknowledged writes that are missing from the database. Called after everything else. `Err`
    /// names the records that could not be read.
    pub async fn writes_lost(&mut self) -> Result<usize, String> {
        // Writes are paused: one acknowledged after the final read of its record would look lost.
        let writing = self.bed.streams.get(paths::WRITE).copied();
        if let Some(stream) = writing {
            self.bed.generator.set_rate(stream, Rate::STOPPED);
            let at_rest = async {
                // The pacer runs on its own thread and may send one more request before it sees the new rate.
                while self.bed.generator.live(stream).offered > 0.0 {
                    sleep(LOOK_EVERY).await;
                }
            };
            let _ = tokio::time::timeout(BATCH_MARGIN, at_rest).await;
        }
        // A request without an outcome by then counts as unfinished.
        let _ = self.bed.settle(self.bed.now()).await;
        let keys = self.bed.histories.keys(paths::DEPOSITS);
        let databases = self.bed.chapter.machine.iter().filter(|(_, entry)| entry.dbnode.is_some());
        let Some(database) = databases.map(|(kind, _)| kind).next() else { return Ok(0) };
        let nodes = self.bed.lab.plan().vitals_of(&format!("{database}/dbnode"));
        let found = last_values(&nodes, &keys, "account:").await;
        self.bed.histories.found(paths::DEPOSITS, found);
        writing.iter().for_each(|stream| self.bed.generator.set_rate(*stream, Rate::Steady(self.rate.get())));
        let lost = self.bed.histories.measure(Measure::LostWrites, paths::DEPOSITS)?;
        Ok(lost.unwrap_or_default() as usize)
    }

    /// Returns one path between two moments for the verdict. A 401 counts as an answer: it means a lost
    /// session, which is counted separately.
    pub(super) fn judged(&self, path: &str, from: Moment, to: Moment) -> Window {
        let window = self.bed.window(path, from, to);
        if path == paths::SESSION { without_strangers(&window) } else { window }
    }

    /// Returns the rate of each path, in requests per second.
    pub(super) fn rate(&self) -> f64 {
        self.rate.get()
    }

    /// Waits until none of these paths has failed for `steady_for`. `Err` says what still does.
    pub async fn until_steady(
        &self,
        paths: &[String],
        steady_for: Duration,
        limit: Duration,
    ) -> Result<(), String> {
        let begun = self.bed.now();
        let enough = (ENOUGH * self.rate.get() * steady_for.as_secs_f64()) as usize;
        loop {
            sleep(LOOK_EVERY).await;
            let now = self.bed.now();
            let from = now.saturating_sub(steady_for).max(begun);
            let Some(unwell) =
                paths.iter().find_map(|path| unwell(path, &self.bed.window(path, from, now), enough))
            else {
                if now.saturating_sub(begun) >= steady_for {
                    return Ok(());
                }
                continue;
            };
            if now.saturating_sub(begun) > limit {
                return Err(unwell);
            }
        }
    }

    /// Sends one request per key of a traffic, at this rate, and waits for the answers.
    pub async fn send(&self, traffic: &str, rate: f64) {
        let count = self.bed.chapter.traffic[traffic].keys;
        self.bed.generator.send_and_wait(self.bed.streams[traffic], count, rate, BATCH_MARGIN).await;
    }
}

/// Returns the window with every 401 counted as a success.
fn without_strangers(window: &Window) -> Window {
    let served = window.samples().iter().cloned().map(|sample| match sample.status {
        UNAUTHORIZED => Sample { outcome: Outcome::Ok, ..sample },
        _ => sample,
    });
    Window::new(window.from, window.to, served.collect(), window.unfinished)
}

/// Describes what is wrong with a path, if anything. Fewer than `enough` requests count as wrong, too.
fn unwell(path: &str, window: &Window, enough: usize) -> Option<String> {
    let is_bad = |outcome: &Outcome| !outcome.is_success() && !outcome.is_the_generators();
    let worst = window.outcomes().into_iter().filter(|(outcome, _)| is_bad(outcome));
    let worst = worst.max_by_key(|(_, count)| *count);
    let meaning = paths::meaning(path);
    match worst {
        Some((outcome, _)) => Some(format!(
            "{} of {} requests of the path '{meaning}' fail ({})",
            window.failed(),
            window.requests(),
            outcome.name().replace('_', " ")
        )),
        // A few may be in flight; more than that means that they are not answered.
        None if window.unfinished > 3 => {
            Some(format!("{} requests of the path '{meaning}' are not answered", window.unfinished))
        }
        None if window.requests() < enough.max(1) => {
            Some(format!("too few requests of the path '{meaning}' are answered: {}", window.requests()))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use load::{CacheMark, StreamId};

    fn window(good: usize, refused: usize) -> Window {
        let outcomes = [Outcome::Ok].repeat(good).into_iter().chain([Outcome::Refused].repeat(refused));
        let samples = outcomes.map(|outcome| Sample {
            stream: StreamId::default(),
            intended: Duration::ZERO,
            lag: Duration::ZERO,
            latency: Duration::from_millis(1),
            outcome,
            status: 0,
            served_by: None,
            cache: CacheMark::None,
            attempts: 1,
        });
        Window::new(Duration::ZERO, Duration::from_secs(2), samples.collect(), 0)
    }

    #[test]
    fn a_path_is_well_when_enough_is_answered_and_nothing_fails() {
        let said = |good, refused| unwell(paths::SESSION, &window(good, refused), 10);
        assert_eq!(said(10, 0), None);
        assert_eq!(said(9, 1).unwrap(), "1 of 10 requests of the path 'session read' fail (refused)");
        assert_eq!(said(1, 0).unwrap(), "too few requests of the path 'session read' are answered: 1");
        assert!(unwell(paths::SESSION, &window(0, 0), 0).is_some(), "silence says nothing");
    }
}
