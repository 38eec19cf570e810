//! The capacity search: it tries rates until responses are too slow. A machine that does not survive a rate is
//! restarted, so that the next rate is not measured with a machine missing.

use std::collections::BTreeSet;
use std::time::Duration;

use chapter::Act;
use lab::Happening;
use lab::error::LabError;
use lab::events::Hand;
use load::{CapacitySearch, Generator, Objective, Rate, StreamId, add_probe};

use super::{Lane, Traffics};
use crate::running::{NotDone, Running};
use crate::snapshot::{CapacityView, RateTried};

/// The rate that a search begins with, as in `labctl capacity`.
const SEARCH_FROM: f64 = 50.0;
/// How long each rate is tried: shorter than in `labctl capacity`, because a viewer is waiting.
pub(crate) const PROBE: Duration = Duration::from_secs(1);
/// How long to wait to learn whether requests failed because their machine went down.
const DEATH_MAX: Duration = Duration::from_millis(400);

impl Traffics {
    /// Finds the highest rate of a traffic that meets an objective, while its own stream is stopped. Progress shows in
    /// [`Self::capacity`]. Dropping the future ends the search and its traffic.
    pub(crate) async fn find_capacity(
        &self,
        lab: &Running,
        name: Option<&str>,
        p99: Duration,
    ) -> Result<CapacityView, LabError> {
        let generator = self.generator()?;
        let lane = self.lane(name)?;
        let busy = "a capacity search is already running, and it needs the whole lab to itself";
        let _one = self.searching.try_lock().map_err(|_| LabError::not_ready(busy))?;
        let name = self.set_rate(lab, name, 0.0).await?;
        self.log_in(generator, lane).await?;
        let probe = probe_of(generator, lane)?;
        self.aim(lab, generator, probe, lane).await?;
        *self.capacity.lock() = Some(CapacityView {
            traffic: name,
            p99_ms: p99.as_secs_f64() * 1e3,
            searching: true,
            ..CapacityView::default()
        });
        let end = EndOfSearch { traffics: self, generator, probe };
        let distrust = self.try_rates(lab, generator, lane, probe, p99).await;
        if let (Some(view), Err(why)) = (self.capacity.lock().as_mut(), distrust) {
            view.distrust = Some(why);
        }
        drop(end);
        Ok(self.capacity().unwrap_or_default())
    }

    /// Tries rate after rate. The error says why the result should not be trusted.
    async fn try_rates(
        &self,
        lab: &Running,
        generator: &Generator,
        lane: &Lane,
        probe: StreamId,
        p99: Duration,
    ) -> Result<(), String> {
        let objective = Objective::new(p99, PROBE);
        let mut search = CapacitySearch::new(SEARCH_FROM, &objective);
        let patience = lane.traffic.stream.patience();
        let mut ended = Ok(());
        let mut heard = lab.events.count();
        while let Some((rate, tried)) = search.next(generator, &[(probe, 1.0)], patience).await {
            let died = if tried.failed > 0 { died_since(lab, heard).await } else { vec![] };
            if let Some(view) = self.capacity.lock().as_mut() {
                view.tried.push(RateTried { rate, tried, died: died.clone() });
            }
            ended = self.start_again(lab, generator, lane, &died).await;
            if ended.is_err() {
                break;
            }
            heard = lab.events.count();
        }
        let (found, distrust) = search.found();
        if let Some(view) = self.capacity.lock().as_mut() {
            view.rate = Some(found.rate());
            (view.low, view.high) = (found.low, found.high);
        }
        ended.and(distrust.map_or(Ok(()), Err))
    }

    /// Restarts the machines that a rate has brought down, and has the traffic's users log in again.
    async fn start_again(
        &self,
        lab: &Running,
        generator: &Generator,
        lane: &Lane,
        died: &[String],
    ) -> Result<(), String> {
        for name in died {
            let act = Act::Restart { name: name.clone() };
            lab.act(&act).await.map_err(|not_done| match not_done {
                NotDone::Refused(error) => {
                    format!("{name} went down, and could not be started again: {error}")
                }
                NotDone::ByHand(command) => format!("{name} went down, and ended the search: {command}"),
            })?;
        }
        if !died.is_empty() {
            lane.state.lock().logged_in = false;
            self.log_in(generator, lane).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Returns the current search, or the last one.
    pub(crate) fn capacity(&self) -> Option<CapacityView> {
        self.capacity.lock().clone()
    }
}

/// Returns the stream that a search in this lane sends on.
fn probe_of(generator: &Generator, lane: &Lane) -> Result<StreamId, LabError> {
    let mut known = lane.probe.lock();
    let probe = match *known {
        Some(probe) => probe,
        None => add_probe(generator, lane.traffic.stream.clone())
            .map_err(|error| LabError::Usage(error.to_string()))?,
    };
    *known = Some(probe);
    Ok(probe)
}

/// Returns the machines that went down by themselves since this event.
async fn died_since(lab: &Running, heard: usize) -> Vec<String> {
    // For containers that labctl does not run, what ended them is unknown.
    let is_blamed = |by: Hand| by == Hand::Machine || !lab.can_act();
    lab.events.wait_for(heard, DEATH_MAX, |what| end_of(what, is_blamed).is_some()).await;
    let happened = lab.events.since(heard);
    let ended = happened.iter().filter_map(|event| end_of(&event.what, is_blamed));
    ended.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns the machine that ended, if the cause counts.
fn end_of(what: &Happening, is_blamed: impl Fn(Hand) -> bool) -> Option<&str> {
    match what {
        Happening::MachineEnded { machine, by, .. } if is_blamed(*by) => Some(machine),
        _ => None,
    }
}

/// Stops the search's traffic when dropped, however the search ends.
struct EndOfSearch<'a> {
    traffics: &'a Traffics,
    generator: &'a Generator,
    probe: StreamId,
}

impl Drop for EndOfSearch<'_> {
    fn drop(&mut self) {
        self.generator.set_rate(self.probe, Rate::STOPPED);
        if let Some(view) = self.traffics.capacity.lock().as_mut() {
            view.searching = false;
        }
    }
}
