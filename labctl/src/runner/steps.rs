//! The life of a step: act, wait, warm up, measure, settle, judge.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use machine::capacity::Usage;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::condition::{Condition, Primary};
use super::measured::{Busy, Evaluated, Reliability, StepMeasurement};
use super::{ClaimResult, Counted, EventKind, Run, Verdict, damage, verdict};
use crate::testbed::last_values;
use chapter::role;
use chapter::step::{self, Batch, CapacitySearch, ReadBack, TakeStock, Until};
use chapter::{Act, Expect, Span, Step};
use lab::databases::{self, NodeStatus};
use lab::error::LabError;
use lab::{Happening, counters, http};
use load::{LiveFigures, Moment, Rate, Window};

/// Refresh interval of the live figures.
const LIVE_EVERY: Duration = Duration::from_millis(200);
/// A machine that grants work this late is mentioned when something fails.
const RATHER_LATE: Duration = Duration::from_millis(20);
/// A machine that grants work this late may have made others wait or give up.
const TOO_LATE: Duration = Duration::from_millis(100);
/// A machine that grants work this late yields figures of the host rather than its own.
const FAR_TOO_LATE: Duration = Duration::from_millis(250);
/// A figure whose uncertainty exceeds this share is measured again.
const BLUR_MAX: f64 = 0.1;
/// Maximum number of repetitions of a measurement that the host disturbed.
const MEASURE_AGAIN_MAX: u32 = 2;
/// Approximate time to replace the machines of a kind.
const ROLL_ABOUT: Duration = Duration::from_secs(15);
/// Polling interval.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Consecutive successes after a failure that count as recovered.
const RECOVERED: usize = 10;
/// How far back to check whether a traffic was already failing.
const BEFORE: Duration = Duration::from_secs(10);
/// Extra time for sending a counted batch, beyond its expected duration.
const SEND_MARGIN: Duration = Duration::from_secs(10);

/// Counter values, by the name of the machine or program in the claims, the counter's name, and the address
/// of the program that exposes it.
type Counters = HashMap<(String, String, SocketAddr), f64>;

/// A machine's usage, how late it has granted work since the last query, and the time of the query.
struct AtMoment {
    usage: Usage,
    late: Duration,
    at: Moment,
}

impl Run<'_> {
    /// Carries out one step, and judges its claims.
    pub(super) async fn step(&mut self, step: &Step) -> Result<Vec<ClaimResult>, LabError> {
        let number =
            1 + self.bed.chapter.step.iter().position(|other| other.name == step.name).unwrap_or_default();
        let of = self.bed.chapter.step.len();
        self.emitter.emit(EventKind::Step { number, of, name: &step.name, say: &step.say });
        if let Some(reason) = self.skips.step(&step.name).map(str::to_owned) {
            return Ok(self.unjudged(step, Verdict::Skipped, &reason));
        }
        // A stand-in that cannot do something fails the claims about it, and the chapter goes on.
        let is_own = self.bed.lab.cast().is_own();
        match self.aim(step).await {
            Err(LabError::Usage(error)) if !is_own => return Ok(self.unjudged(step, Verdict::Fails, &error)),
            aimed => aimed?,
        }
        let primary = self.primary_before(step).await;
        let begun = self.now();
        self.set_rates(step);
        match self.act(step).await {
            Err(LabError::Broken(error)) if step.changes_upstreams() && !is_own => {
                return Ok(self.unjudged(step, Verdict::Fails, &format!("{error:#}")));
            }
            // For example, no node is the primary.
            Err(LabError::Usage(error)) if !is_own => return Ok(self.unjudged(step, Verdict::Fails, &error)),
            done => done?,
        }
        self.measured.update_plan(self.bed.lab.plan());

        let measured = match (&step.capacity, &step.until) {
            (Some(search), _) => self.search(search, begun).await?,
            (None, Some(until)) => self.wait_until(until, primary, begun).await,
            (None, None) if !step.send.is_empty() => self.send(step, begun).await,
            (None, None) => self.measure(step, begun).await,
        };
        let measurement = StepMeasurement {
            final_rates: self.rates_now(),
            value: self.read_back(step.read.as_ref()).await,
            discarded: self.discarded().await,
            ..measured
        };
        self.look_for_damage(step, &measurement);
        self.measured.keep(&step.name, measurement);
        if let Some(stock) = &step.take_stock {
            self.take_stock(stock).await;
        }
        Ok(self.judge(step))
    }

    /// Directs traffic that names a role at the machine that has the role when a step needs that traffic.
    async fn aim(&self, step: &Step) -> Result<(), LabError> {
        let wanted = step.load.iter().filter(|(_, rate)| !rate.is_none()).map(|(name, _)| name);
        for name in wanted.chain(step.send.keys()).map(AsRef::as_ref) {
            let to = self.bed.chapter.traffic[name].to.as_ref();
            if let Some((kind, _)) = role::parse(to) {
                let machine = match self.bed.lab.resolve(to).await {
                    // In a database that promotes no node, the former primary is still the primary.
                    Err(error) if !self.bed.lab.cast().is_own() => {
                        let former = self.bed.lab.resolve(&format!("{kind}:former")).await;
                        former.map_err(|_| error)?
                    }
                    found => found?,
                };
                if let Some(address) = self.bed.lab.plan().address_of(&machine) {
                    self.bed.generator.aim(self.bed.streams[name], address);
                }
            }
        }
        Ok(())
    }

    /// Returns the number of writes that each database node has truncated from its log.
    async fn discarded(&self) -> HashMap<String, u64> {
        let plan = self.bed.lab.plan();
        let nodes = plan.database_nodes();
        let nodes = nodes.filter_map(|machine| Some((machine.name.clone(), databases::node_on(machine)?)));
        let asking = nodes
            .map(|(machine, node)| async move { Some((machine, NodeStatus::of(node).await?.discarded)) });
        join_all(asking).await.into_iter().flatten().collect()
    }

    fn set_rates(&self, step: &Step) {
        for (traffic, rate) in &step.load {
            let rate = match *rate {
                step::Rate::Steady(rate) => Rate::Steady(rate),
                step::Rate::Ramp { from, to, over } => Rate::Ramp { from, to, over: over.0 },
            };
            self.bed.generator.set_rate(self.bed.streams[traffic.as_ref()], rate);
        }
    }

    async fn act(&self, step: &Step) -> Result<(), LabError> {
        for act in step.acts() {
            let done = match act {
                // Rolling takes a while, and its course is worth showing.
                Act::Roll { kind, .. } => {
                    self.watching(&format!("replacing {kind}"), ROLL_ABOUT, self.bed.lab.act(act)).await?
                }
                _ => self.bed.lab.act(act).await?,
            };
            for command in done {
                self.emitter.emit(EventKind::Did { command: &command });
            }
        }
        Ok(())
    }

    /// Searches the capacity of traffics; the whole search is what is measured.
    async fn search(&self, search: &CapacitySearch, begun: Moment) -> Result<StepMeasurement, LabError> {
        let before = self.usages().await;
        let from = self.now();
        let (capacities, distrust) = self.search_capacities(search).await?;
        let measured = self.close(begun, from, self.now(), before).await;
        let distrust = distrust.or(measured.reliability.distrust);
        let reliability = Reliability { distrust, ..measured.reliability };
        Ok(StepMeasurement { capacities, reliability, ..measured })
    }

    /// Returns the primary whose replacement a step waits for, before the step does anything.
    async fn primary_before(&self, step: &Step) -> Primary {
        let Some(kind) = step.until.as_ref().and_then(|until| until.elected.as_ref()) else {
            return Primary::default();
        };
        let statuses = databases::statuses(&self.bed.lab.plan(), kind.as_ref()).await;
        let primaries = statuses.into_iter().filter(|(_, status)| status.is_primary());
        let Some((name, status)) = primaries.max_by_key(|(_, status)| status.term) else {
            return Primary::default();
        };
        // A step that acts waits for the consequences of its own act.
        let former = self.bed.lab.former(kind.as_ref()).filter(|_| step.acts.is_empty());
        Primary { term: status.term, is_another: former.is_some_and(|former| former != name) }
    }

    /// Records whether something irreversible happened that the host may have caused. Later steps then prove
    /// nothing.
    fn look_for_damage(&mut self, step: &Step, measurement: &StepMeasurement) {
        let events = self.bed.lab.events.since(0);
        let of_step = || {
            let reason = measurement.reliability.distrust.as_ref().filter(|_| step.acts.is_empty())?;
            let what = damage::irreversible(&events, measurement.begun, measurement.to)?;
            Some(format!("{reason}, and meanwhile {what}"))
        };
        if self.damage.is_none() {
            self.damage = damage::of_pauses(&self.measured.host.pauses(), &events).or_else(of_step);
        }
    }

    /// Waits for an event; the wait is what is measured.
    async fn wait_until(&self, until: &Until, primary: Primary, begun: Moment) -> StepMeasurement {
        let before = self.usages().await;
        let met = self.wait(until, primary, begun).await;
        let to = met.unwrap_or_else(|| self.now());
        let measured = self.close(begun, begun, to, before).await;
        StepMeasurement { waited: true, happened: met.is_some(), ..measured }
    }

    /// Returns when the awaited event happened, if it did within its limit.
    async fn wait(&self, until: &Until, primary: Primary, begun: Moment) -> Option<Moment> {
        let limit = until.within.0;
        if let Some(condition) = Condition::of(until, begun, primary) {
            let met = timeout(limit, self.come_about(&condition));
            return self.watching(&condition.words(), limit, met).await.ok();
        }
        let met = if let Some(traffic) = &until.recovered {
            let what = format!("waiting for {} to be answered again", traffic.as_ref());
            let recovery = self.recovery(traffic.as_ref(), begun);
            self.watching(&what, limit, timeout(limit, recovery)).await
        } else if let Some(kind) = &until.converged {
            let what = format!("waiting for {} to agree", kind.as_ref());
            let converging = timeout(limit, self.convergence(kind.as_ref()));
            self.watching(&what, limit, converging).await
        } else {
            Ok(())
        };
        met.ok().map(|()| self.now())
    }

    /// Waits until a condition is met, and returns when it was.
    async fn come_about(&self, condition: &Condition) -> Moment {
        loop {
            if let Some(at) = condition.met(&self.bed.lab.events.since(0), self.now()) {
                return at;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until all database nodes of a kind report the same state.
    async fn convergence(&self, kind: &str) {
        loop {
            let plan = self.bed.lab.plan();
            let statuses = databases::statuses(&plan, kind).await;
            if databases::have_converged(plan.of_kind(kind).count(), &statuses) {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a traffic that has failed, possibly before the step, is answered again. A hanging request
    /// counts as unanswered: successes after it do not count until it has an outcome.
    async fn recovery(&self, traffic: &str, since: Moment) {
        loop {
            let window = self.measured.known_window(traffic, since, self.now());
            let before = self.measured.window(Some(traffic), since.saturating_sub(BEFORE), since);
            if window.zip(before).is_some_and(|(window, before)| window.has_recovered(RECOVERED, &before)) {
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Sends a counted batch and waits for the answers; this is what is measured.
    async fn send(&self, step: &Step, begun: Moment) -> StepMeasurement {
        let counters = self.counters(&step.name).await;
        let before = self.usages().await;
        let from = self.now();
        let expected = |batch: &Batch| Duration::from_secs_f64(batch.count as f64 / batch.rate);
        for (traffic, batch) in &step.send {
            self.bed.generator.send(self.bed.streams[traffic.as_ref()], batch.count, batch.rate);
        }
        // A generator that was held up sends them later.
        let limit = 2 * step.send.values().map(expected).max().unwrap_or_default() + SEND_MARGIN;
        let sent = async {
            loop {
                let all_sent = step.send.iter().all(|(traffic, batch)| {
                    let window = self.measured.window(Some(traffic.as_ref()), from, Moment::MAX);
                    let begun =
                        window.map_or(0, |window| window.requests() + window.unsent() + window.unfinished);
                    begun as u64 >= batch.count
                });
                if all_sent {
                    return;
                }
                sleep(LOOK_EVERY).await;
            }
        };
        // A generator that cannot send them in time is reported by the requests that are then missing.
        let _ = self.watching("sending", limit, timeout(limit, sent)).await;
        let measured = self.close(begun, from, self.now(), before).await;
        let at_rest = step.send.keys().map(|traffic| self.bed.streams[traffic.as_ref()]);
        at_rest.for_each(|stream| self.bed.generator.set_rate(stream, Rate::STOPPED));
        let to = self.now();
        let counted = growth(&counters, self.counters(&step.name).await);
        StepMeasurement { to, counted, ..measured }
    }

    /// Reads the counters that claims about this step refer to, from each program that exposes them.
    async fn counters(&self, step: &str) -> Counters {
        let plan = self.bed.lab.plan();
        let wanted = self.counters.iter().filter(|counter| counter.step == step);
        let reading = wanted.flat_map(|Counted { of, counter, .. }| {
            let client = plan.client();
            plan.vitals_of(of).into_iter().map(move |address| async move {
                // A machine that is gone has no counters.
                let value = counters::read(client, address, counter).await?;
                Some(((of.clone(), counter.clone(), address), value))
            })
        });
        join_all(reading).await.into_iter().flatten().collect()
    }

    /// Measures for as long as the step says, and again if the host disturbed the measurement.
    async fn measure(&mut self, step: &Step, begun: Moment) -> StepMeasurement {
        let pause = |span: Option<Span>| span.map_or(Duration::ZERO, |span| self.pace.of(span.0));
        let (warmup, length) = (pause(step.warmup), pause(step.measure));
        self.watching("warming up", warmup, sleep_until(Instant::now() + warmup)).await;
        let mut tries_left = if step.happens_once() { 0 } else { MEASURE_AGAIN_MAX };
        let mut disturbed_earlier = Vec::new();
        loop {
            let before = self.usages().await;
            let counters = self.counters(&step.name).await;
            let from = self.now();
            self.watching("measuring", length, sleep_until(Instant::now() + length)).await;
            let to = self.now();
            let counted = growth(&counters, self.counters(&step.name).await);
            let mut measured = StepMeasurement { counted, ..self.close(begun, from, to, before).await };
            measured.reliability.disturbed.append(&mut disturbed_earlier);
            match self.too_blurred(step, &measured) {
                Some(reason) if tries_left > 0 => {
                    self.emitter.emit(EventKind::Note { text: &format!("{reason}; measuring again") });
                    disturbed_earlier = measured.reliability.disturbed;
                    tries_left -= 1;
                }
                _ => return measured,
            }
        }
    }

    /// Explains why a measurement should be repeated, if it should: it is unreliable, or too uncertain for
    /// the claims. Never after something irreversible, which happens only once.
    fn too_blurred(&mut self, step: &Step, measurement: &StepMeasurement) -> Option<String> {
        let events = self.bed.lab.events.since(0);
        if damage::irreversible(&events, measurement.begun, measurement.to).is_some() {
            return None;
        }
        self.measured.keep(&step.name, measurement.clone());
        let asked = self.asked.iter().filter(|call| call.step() == Some(&step.name));
        let is_blurred = asked.map(|call| self.measured.blur(call)).any(|blur| blur > BLUR_MAX);
        let Reliability { distrust, doubt, .. } = &measurement.reliability;
        distrust.clone().or_else(|| doubt.clone().filter(|_| is_blurred))
    }

    /// Ends a measurement: reads the machines' usage, waits for the last answers, and determines how reliable
    /// it is. What else a step measured is added by its caller.
    async fn close(
        &self,
        begun: Moment,
        from: Moment,
        to: Moment,
        before: HashMap<String, AtMoment>,
    ) -> StepMeasurement {
        let after = self.usages().await;
        self.settle(to).await;
        let reliability = self.reliability(begun, from, to, &after);
        let busy = |before: &AtMoment, after: &AtMoment| Busy {
            core_seconds: after.usage.cpu_busy_seconds - before.usage.cpu_busy_seconds,
            seconds: after.at.saturating_sub(before.at).as_secs_f64(),
        };
        let busy = before
            .iter()
            .filter_map(|(machine, before)| Some((machine.clone(), busy(before, after.get(machine)?))))
            .collect();
        StepMeasurement { begun, from, to, happened: true, busy, reliability, ..StepMeasurement::default() }
    }

    /// Determines what the host and the generator may have done to a measurement.
    fn reliability(
        &self,
        begun: Moment,
        from: Moment,
        to: Moment,
        after: &HashMap<String, AtMoment>,
    ) -> Reliability {
        let window = |name: &String| self.measured.window(Some(name), from, to);
        let windows: Vec<_> = self.bed.streams.keys().filter_map(window).collect();
        let is_late = windows.iter().find_map(|window| window.late(Duration::ZERO));
        let held_up = windows.iter().filter(|window| window.late(Duration::ZERO).is_some());
        let not_sent = windows.iter().find_map(Window::not_sent);
        let host = latest(after);
        let host_is = |limit: Duration| {
            host.as_ref().filter(|(late, _)| *late > limit).map(|(_, reason)| reason.clone())
        };
        let excuse = host_is(TOO_LATE);
        let busy = self.measured.host.busy(begun, to);
        let disturbed = [is_late.clone(), not_sent.clone(), host_is(RATHER_LATE), busy];
        let pauses = self.measured.host.pauses();
        let pause = damage::excuse(&pauses, begun, to);
        let granted_late =
            host.as_ref().map(|(late, _)| *late).filter(|late| *late > TOO_LATE).unwrap_or_default();
        let lag = held_up.map(Window::lag_max).max().unwrap_or_default();
        let late = |from| lag.max(damage::paused(&pauses, from, to)) + granted_late;
        Reliability {
            distrust: windows.iter().find_map(Window::incomplete).or_else(|| host_is(FAR_TOO_LATE)),
            doubt: is_late.or(not_sent).or(pause).or(excuse.clone()),
            excuse,
            disturbed: disturbed.into_iter().flatten().collect(),
            granted_late,
            late: late(begun),
            measured_late: late(from),
        }
    }

    async fn usages(&self) -> HashMap<String, AtMoment> {
        let asking = self.bed.lab.machines_on().into_iter().map(|name| async move {
            let (usage, late) = self.bed.lab.usage(&name).await?;
            let late = late.max(self.filling.late(&name));
            Some((name, AtMoment { usage, late, at: self.now() }))
        });
        join_all(asking).await.into_iter().flatten().collect()
    }

    /// Waits until every request that was due before `to` has an outcome.
    async fn settle(&self, to: Moment) {
        let settled =
            self.watching("waiting for the last answers", self.bed.patience(), self.bed.settle(to)).await;
        if let Err(error) = settled {
            self.emitter.emit(EventKind::Note { text: &error.to_string() });
        }
    }

    /// Reads the value that a step reads back, if it does.
    async fn read_back(&self, read: Option<&ReadBack>) -> Option<f64> {
        let read = read?;
        let address = self.bed.lab.plan().address_of(&format!("{}/dbnode", read.from.as_ref()))?;
        let path = format!("/kv/{}", read.key);
        let answer =
            http::ask(address, hyper::Method::GET, &path, None, Duration::from_secs(5)).await.ok()?;
        if answer.status == hyper::StatusCode::NOT_FOUND {
            // To a database, a number that was never added to is 0.
            return Some(0.0);
        }
        std::str::from_utf8(&answer.body).ok()?.trim().parse().ok()
    }

    /// Reads the last value of every record of a history, from any node that can serve it.
    async fn take_stock(&mut self, stock: &TakeStock) {
        let name = stock.history.as_ref();
        let nodes = self.bed.lab.plan().vitals_of(&format!("{}/dbnode", stock.from.as_ref()));
        let keys = self.measured.histories.keys(name);
        let found = last_values(&nodes, &keys, &stock.prefix).await;
        self.measured.histories.found(name, found);
    }

    /// Returns the claims of a step that was not carried out.
    fn unjudged(&self, step: &Step, verdict: Verdict, reason: &str) -> Vec<ClaimResult> {
        let told = |expect: &Expect| {
            let claim = verdict::without_figure(&step.name, expect, verdict, reason.to_owned());
            self.emitter.emit(EventKind::Claim(&claim));
            claim
        };
        step.expect.iter().map(told).collect()
    }

    fn judge(&self, step: &Step) -> Vec<ClaimResult> {
        let judge = |(index, expect): (usize, &Expect)| {
            if let Some(reason) = self.skips.claim(&step.name, index) {
                let claim = verdict::without_figure(&step.name, expect, Verdict::Skipped, reason.to_owned());
                self.emitter.emit(EventKind::Claim(&claim));
                return Some(claim);
            }
            let mut evaluated = self.measured.evaluate(expect.measure.as_ref());
            evaluated.distrust = evaluated.distrust.or_else(|| self.damage.clone());
            let expect = match self.bed.lab.plan().deployment().backend.is_containers() {
                false => expect.clone(),
                true => expect.in_containers()?,
            };
            let claim = verdict::judge(&step.name, &expect, evaluated);
            self.emitter.emit(EventKind::Claim(&claim));
            Some(claim)
        };
        step.expect.iter().enumerate().filter_map(judge).collect()
    }

    /// Returns the claims of a step that is skipped because the run was cut short.
    pub(super) fn left_out(&self, step: &Step, reason: &str) -> Vec<ClaimResult> {
        let nothing = || Evaluated { distrust: Some(reason.to_owned()), ..Evaluated::default() };
        step.expect.iter().map(|expect| verdict::judge(&step.name, expect, nothing())).collect()
    }

    /// Waits for a future while reporting progress and the lab's events.
    pub(super) async fn watching<T>(
        &self,
        doing: &str,
        limit: Duration,
        waited_for: impl Future<Output = T>,
    ) -> T {
        let deadline = Instant::now() + limit;
        let mut waited_for = std::pin::pin!(waited_for);
        loop {
            let done = tokio::select! {
                biased;
                done = &mut waited_for => Some(done),
                () = tokio::time::sleep(LIVE_EVERY) => None,
            };
            self.tell_events();
            if let Some(done) = done {
                return done;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let traffics = self.live();
            self.emitter.emit(EventKind::Live { doing, left, traffics: &traffics });
        }
    }

    fn tell_events(&self) {
        for event in self.bed.lab.events.since(self.told.get()) {
            self.told.update(|told| told + 1);
            // The acts of a step were reported when they were done.
            if !matches!(event.what, Happening::Did { .. } | Happening::Link { .. }) {
                self.emitter.emit(EventKind::Happened(&event));
            }
        }
    }

    fn live(&self) -> Vec<(&str, LiveFigures)> {
        let figures =
            self.bed.streams.iter().map(|(name, stream)| (name.as_str(), self.bed.generator.live(*stream)));
        figures.filter(|(_, live)| live.offered > 0.0 || live.in_flight > 0).collect()
    }

    fn rates_now(&self) -> HashMap<String, f64> {
        self.bed
            .streams
            .iter()
            .map(|(name, stream)| (name.clone(), self.bed.generator.live(*stream).offered))
            .collect()
    }

    pub(super) fn now(&self) -> Moment {
        self.bed.now()
    }
}

/// Returns how much counters grew, summed over all programs of a name; nothing for a name without programs. A
/// counter that is new, or lower than before because its program was restarted, started from zero.
fn growth(before: &Counters, after: Counters) -> HashMap<(String, String), f64> {
    let mut grown = HashMap::new();
    for (place, after) in after {
        let before = before.get(&place).copied().filter(|before| *before <= after).unwrap_or(0.0);
        let (of, counter, _) = place;
        *grown.entry((of, counter)).or_insert(0.0) += after - before;
    }
    grown
}

/// Returns how late a machine granted work at worst, with a description.
fn latest(usages: &HashMap<String, AtMoment>) -> Option<(Duration, String)> {
    let (machine, AtMoment { late, .. }) = usages.iter().max_by_key(|(_, usage)| usage.late)?;
    Some((*late, format!("the host was too busy: {machine} was granted its work {late:.0?} late")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(values: &[(u8, f64)]) -> Counters {
        let of = |last: u8| ("web".into(), "requests_total".into(), ([10, 0, 0, last], 80).into());
        values.iter().map(|(last, value)| (of(*last), *value)).collect()
    }

    fn grown(before: &[(u8, f64)], after: &[(u8, f64)]) -> Option<f64> {
        growth(&counters(before), counters(after)).into_values().next()
    }

    #[test]
    fn counters_of_a_kind_of_machine_are_added_up() {
        assert_eq!(grown(&[(1, 100.0), (2, 50.0)], &[(1, 110.0), (2, 55.0)]), Some(15.0));
        assert_eq!(grown(&[(1, 100.0)], &[(1, 110.0), (2, 5.0)]), Some(15.0), "one was added");
    }

    #[test]
    fn one_machine_that_restarts_or_dies_is_counted_by_itself() {
        assert_eq!(grown(&[(1, 100.0), (2, 50.0)], &[(1, 110.0), (2, 3.0)]), Some(13.0));
        assert_eq!(grown(&[(1, 100.0), (2, 50.0)], &[(1, 110.0)]), Some(10.0));
        assert_eq!(grown(&[(1, 100.0), (2, 50.0)], &[]), None);
    }
}
