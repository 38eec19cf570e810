//! Watching what a fault does: until all is well and level, or the time is up, and then until it is clear how
//! much of each path fails.

use std::time::Duration;

use indexmap::IndexMap;
use machine::MachineSpec;
use tokio::time::sleep;

use super::impact::{Impact, REQUESTS_MAX, RUN, Seen, Share};
use super::stage::Stage;
use super::strain::{self, Level, Overload, PathSeen, Reading};
use load::{Moment, Window};

/// How often it is looked how things are.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often machines are asked for their figures.
const READ_EVERY: Duration = Duration::from_millis(400);
/// How long nothing must have failed, at least, before a path is well.
pub(super) const WELL_FOR: Duration = Duration::from_millis(2000);
/// So long a fault is watched even when nobody notices it: a health check needs its time.
const WATCH_MIN: Duration = Duration::from_millis(4500);
/// How often it is looked whether it is clear by now how much fails.
const CLEAR_EVERY: Duration = Duration::from_millis(500);
/// The last of a fault after which something still fails, of which it is asked whether a machine is overloaded.
const STRAINED_FOR: Duration = Duration::from_secs(5);
/// How long an expired copy may take to be missed: its key has to be asked for.
const COPIES_MISSED: Duration = Duration::from_millis(1500);

/// A generator that was so late has stood still, and with it most likely the lab.
const STOOD_STILL: Duration = Duration::from_millis(600);

/// What was seen of a fault.
#[derive(Debug)]
pub(super) struct Watched {
    /// What became of each path.
    pub(super) impacts: Vec<Impact>,
    /// Why the figures say more about the load generator, if they do.
    pub(super) distrust: Option<String>,
}

/// What is watched, and for how long.
pub(super) struct Watch<'a> {
    pub(super) stage: &'a Stage,
    /// The paths.
    pub(super) names: &'a [String],
    /// Each of them before the fault.
    pub(super) calm: &'a [Window],
    /// When the fault began.
    pub(super) from: Moment,
    /// What recovers by itself within this time has not been down.
    pub(super) within: Duration,
    /// After how long it shows that copies are not renewed: they are stale then, or of no use.
    pub(super) copies_show: Option<Duration>,
}

/// How it looks at one moment.
enum Look {
    /// Nothing fails any more, and nothing grows.
    Well,
    /// Nothing fails any more, and before long everything would.
    Overloaded(Overload),
    /// Nothing fails, since this moment; but it cannot be said yet that this is the end of it.
    Quiet(Moment),
    /// Something fails.
    Failing,
}

impl Watch<'_> {
    /// Watches to the end.
    pub(super) async fn to_the_end(&self) -> Watched {
        let (end, overload) = self.until_settled().await;
        // What has no outcome by then counts as unfinished.
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

    /// Until all is well and level, or something is overloaded, or the time is up.
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

    /// What is overloaded while something still fails: that it fails may be because of it.
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

    /// Whether enough requests were good in a row, on all paths together that one has failed on, and hardly any
    /// waits.
    fn is_sure(&self, wholes: &[Window], quiet: &[Window]) -> bool {
        let waits = wholes.iter().any(|whole| whole.unfinished >= 3);
        let failed = wholes.iter().zip(quiet).filter(|(whole, _)| whole.failed() > 0);
        let (count, run) = failed.fold((0, 0), |(count, run), (_, quiet)| (count + 1, run + quiet.ok()));
        !waits && (count == 0 || run >= RUN)
    }

    /// Whether it is known what is behind copies: one was renewed, or could not be, or none expires while a
    /// fault is watched.
    fn copies_are_renewed(&self, wholes: &[Window], now: Moment) -> bool {
        let Some(copies_show) = self.copies_show else { return true };
        now >= self.from + copies_show + COPIES_MISSED || !wholes.iter().any(strain::lives_on_copies)
    }

    /// The last of each path, as much of it as is needed to say how much fails.
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

    /// `None`: it is not clear yet.
    fn last_of(&self, path: &str, from: Moment, end: Moment) -> Option<Window> {
        let window = self.stage.judged(path, from, end);
        let whole = self.stage.judged(path, self.from, end);
        // How many were good since the last one that failed.
        let run = whole.samples().iter().rev().take_while(|sample| sample.outcome.is_success()).count();
        let is_clear = match Share::of(window.failed(), window.requests()) {
            // Of those that fail now and then many pass.
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

/// Why the computer was too busy, if it was: for so long nobody was sent anything, so perhaps nobody answered either,
/// and whoever was missed was missed for that.
fn stood_still(whole: &Window) -> Option<String> {
    let lag = whole.samples().iter().map(|sample| sample.lag).max()?;
    (lag > STOOD_STILL).then(|| format!("the load generator stood still for {lag:.1?}"))
}
