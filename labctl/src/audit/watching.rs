//! Observes a fault until everything works and no queue grows, or the time is up, and then until the failing
//! share of each path is clear.

use std::time::Duration;

use indexmap::IndexMap;
use machine::MachineSpec;
use tokio::time::sleep;

use super::impact::{Impact, REQUESTS_MAX, RUN, Seen, Share};
use super::stage::Stage;
use super::strain::{self, Level, Overload, PathSeen, Reading};
use load::{Moment, Window};

/// Polling interval.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Interval between reads of the machines' usage.
const READ_EVERY: Duration = Duration::from_millis(400);
/// Minimum time without failures before a path counts as working.
pub(super) const WELL_FOR: Duration = Duration::from_millis(2000);
/// Minimum observation even if nothing fails: a health check needs its time.
const WATCH_MIN: Duration = Duration::from_millis(4500);
/// Polling interval while the failing share is not clear yet.
const CLEAR_EVERY: Duration = Duration::from_millis(500);
/// If something still fails at the end, the window in which an overloaded machine is sought.
const STRAINED_FOR: Duration = Duration::from_secs(5);
/// Time until an expired copy is missed: its key has to be requested.
const COPIES_MISSED: Duration = Duration::from_millis(1500);

/// A generator lag above this means that the generator stood still, and most likely the lab did too.
const STOOD_STILL: Duration = Duration::from_millis(600);

/// The observation of a fault.
#[derive(Debug)]
pub(super) struct Watched {
    /// The impact on each path.
    pub(super) impacts: Vec<Impact>,
    /// Why the load generator makes the figures unreliable, if it does.
    pub(super) distrust: Option<String>,
}

/// The object of an observation, and its duration.
pub(super) struct Watch<'a> {
    pub(super) stage: &'a Stage,
    /// The paths.
    pub(super) names: &'a [String],
    /// Each path before the fault.
    pub(super) calm: &'a [Window],
    /// When the fault began.
    pub(super) from: Moment,
    /// A path that recovers on its own within this time does not count as down.
    pub(super) within: Duration,
    /// Time after which missing renewals of copies become visible, because they are stale or expired.
    pub(super) copies_show: Option<Duration>,
}

/// The state at one moment.
enum Look {
    /// Nothing fails any more, and no queue grows.
    Well,
    /// Nothing fails any more, but before long everything would.
    Overloaded(Overload),
    /// Nothing has failed since this moment, but it is too early for a verdict.
    Quiet(Moment),
    /// Something fails.
    Failing,
}

impl Watch<'_> {
    /// Observes the fault to the end.
    pub(super) async fn to_the_end(&self) -> Watched {
        let (end, overload) = self.until_settled().await;
        // A request without an outcome by then counts as unfinished.
        let _ = self.stage.bed.settle(end).await;
        let (end, ends) = self.until_clear(end).await;
        let mut distrust = None;
        let impacts = self.names.iter().zip(self.calm).zip(&ends).map(|((path, calm), end_window)| {
            let whole = self.stage.judged(path, self.from, end);
            let late =
                end_window.generator_fell_behind(Duration::from_secs(1)).or_else(|| stood_still(&whole));
            distrust = distrust.take().or(late);
            Impact::of(&Seen { calm, whole: &whole, end: end_window, overload: overload.as_ref() })
        });
        let impacts = impacts.collect();
        Watched { impacts, distrust }
    }

    /// Waits until everything works, something is overloaded, or the time is up.
    async fn until_settled(&self) -> (Moment, Option<Overload>) {
        let specs =
            self.stage.bed.lab.plan().machines.into_iter().map(|(name, plan)| (name, plan.spec)).collect();
        let (deadline, last) = (self.from + self.within + WELL_FOR, self.from + self.within * 2 + WELL_FOR);
        let mut readings: Vec<Reading> = Vec::new();
        loop {
            sleep(LOOK_EVERY).await;
            if readings.last().is_none_or(|last| self.stage.bed.now().saturating_sub(last.at) >= READ_EVERY) {
                let machines = self.stage.bed.lab.usages().await;
                readings.push(Reading { at: self.stage.bed.now(), machines });
            }
            let now = self.stage.bed.now();
            let time_is_up = |since: Moment| now >= deadline.max(since + self.within).min(last);
            match self.look(&specs, &readings, now, false) {
                Look::Well if now.saturating_sub(self.from) >= WATCH_MIN => return (now, None),
                Look::Overloaded(overload) => return (now, Some(overload)),
                Look::Quiet(since) if time_is_up(since) => {
                    return match self.look(&specs, &readings, now, true) {
                        Look::Overloaded(overload) => (now, Some(overload)),
                        _ => (now, None),
                    };
                }
                Look::Failing if now >= deadline => return (now, self.strained(&specs, &readings, now)),
                _ => {}
            }
        }
    }

    /// Returns the overload while something still fails, since it may be the cause.
    fn strained(
        &self,
        specs: &IndexMap<String, MachineSpec>,
        readings: &[Reading],
        now: Moment,
    ) -> Option<Overload> {
        let from = now.saturating_sub(STRAINED_FOR).max(self.from);
        let lasts: Vec<_> = self.names.iter().map(|path| self.stage.judged(path, from, now)).collect();
        let paths: Vec<_> =
            self.calm.iter().zip(&lasts).map(|(calm, quiet)| PathSeen { calm, quiet }).collect();
        match strain::level(specs, readings, &paths, self.stage.rate(), false) {
            Level::Overloaded(overload) => Some(overload),
            Level::Level | Level::NotYet => None,
        }
    }

    fn look(
        &self,
        specs: &IndexMap<String, MachineSpec>,
        readings: &[Reading],
        now: Moment,
        last: bool,
    ) -> Look {
        let wholes: Vec<_> = self.names.iter().map(|path| self.stage.judged(path, self.from, now)).collect();
        let failures = wholes.iter().flat_map(|whole| {
            whole
                .samples()
                .iter()
                .rev()
                .find(|sample| !sample.outcome.is_success())
                .map(|sample| sample.intended)
        });
        let since = failures.max().unwrap_or(self.from);
        let well_from = now.saturating_sub(WELL_FOR);
        let answered = |whole: &Window| whole.samples().iter().any(|sample| sample.intended >= well_from);
        if (since > self.from && since >= well_from) || !wholes.iter().all(answered) {
            return Look::Failing;
        }
        let quiet: Vec<_> = self.names.iter().map(|path| self.stage.judged(path, since, now)).collect();
        let paths = self.calm.iter().zip(&quiet).map(|(calm, quiet)| PathSeen { calm, quiet });
        let paths: Vec<_> = paths.collect();
        match strain::level(specs, readings, &paths, self.stage.rate(), last) {
            Level::Overloaded(overload) => Look::Overloaded(overload),
            Level::Level if self.is_sure(&wholes, &quiet) && self.copies_are_renewed(&wholes, now) => {
                Look::Well
            }
            _ => Look::Quiet(since),
        }
    }

    /// Returns whether there were enough consecutive successes, over all paths that had failures, and hardly
    /// any request waits.
    fn is_sure(&self, wholes: &[Window], quiet: &[Window]) -> bool {
        let waits = wholes.iter().any(|whole| whole.unfinished >= 3);
        let failed = wholes.iter().zip(quiet).filter(|(whole, _)| whole.failed() > 0);
        let (count, run) = failed.fold((0, 0), |(count, run), (_, quiet)| (count + 1, run + quiet.ok()));
        !waits && (count == 0 || run >= RUN)
    }

    /// Returns whether the state behind cached copies is known: one was renewed, or could not be, or none
    /// expires during the observation.
    fn copies_are_renewed(&self, wholes: &[Window], now: Moment) -> bool {
        let Some(copies_show) = self.copies_show else { return true };
        now >= self.from + copies_show + COPIES_MISSED || !wholes.iter().any(strain::lives_on_copies)
    }

    /// Returns the last window of each path, extended until its failing share is clear.
    async fn until_clear(&self, settled: Moment) -> (Moment, Vec<Window>) {
        let from = settled.saturating_sub(WELL_FOR);
        let mut end = settled;
        loop {
            let windows: Vec<_> = self.names.iter().map(|path| self.last_of(path, from, end)).collect();
            if windows.iter().all(Option::is_some) {
                return (end, windows.into_iter().flatten().collect());
            }
            sleep(CLEAR_EVERY).await;
            end = self.stage.bed.now();
            let _ = self.stage.bed.settle(end).await;
        }
    }

    /// Returns a path's last window; `None` if the share is not clear yet.
    fn last_of(&self, path: &str, from: Moment, end: Moment) -> Option<Window> {
        let window = self.stage.judged(path, from, end);
        let whole = self.stage.judged(path, self.from, end);
        // Number of successes since the last failure.
        let run = whole.samples().iter().rev().take_while(|sample| sample.outcome.is_success()).count();
        let is_clear = match Share::of(window.failed(), window.requests()) {
            // With intermittent failures, many requests in a row succeed.
            Some(Share::Nothing) => whole.failed() == 0 || run >= RUN || window.requests() >= REQUESTS_MAX,
            Some(_) => true,
            // Nothing is sent any more, or nothing is answered.
            None => window.requests() == 0 && end > from + WELL_FOR * 2,
        };
        if is_clear {
            return Some(window);
        }
        let since = whole.samples().get(whole.requests() - run)?.intended;
        (run >= RUN).then(|| self.stage.judged(path, since, end))
    }
}

/// Explains that the computer was too busy, if it was: while the generator stood still nothing was sent. The
/// lab may have stood still too, and machines may have been declared dead only for that reason.
fn stood_still(whole: &Window) -> Option<String> {
    let lag = whole.samples().iter().map(|sample| sample.lag).max()?;
    (lag > STOOD_STILL).then(|| format!("the load generator stood still for {lag:.1?}"))
}
