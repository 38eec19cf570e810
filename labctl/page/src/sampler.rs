//! Samples the lab five times a second while the page has viewers, and publishes the state.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lab::{Event, Happening, MachineStatus, Program};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::deeds;
use crate::desk::Desk;
use crate::programs::{Programs, Said};
use crate::run_log::RunLog;
use crate::snapshot::{self, MachineView, PolicyView, SCHEMA, Snapshot, WireView};
use crate::topology::{self, CLIENTS, Carries, Wire};

/// The sampling interval.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How many samples apart machines are asked for their figures and balancers for their upstreams; any event triggers it
/// at once. That a machine is gone is known without asking it.
const FIGURES_EVERY: u32 = 2;
/// How many samples apart the other programs are polled: their counters are only shown as rates per second.
const PROGRAMS_EVERY: u32 = 5;
/// The longest pause between states: a browser that receives nothing for some seconds considers the lab lost.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// The interval between two points of the charts.
const SECOND: Duration = Duration::from_secs(1);

/// What the sampler remembers from one sample to the next.
#[derive(Debug, Default)]
struct Memory {
    heard: usize,
    /// Whether something happened since the last sample.
    news: bool,
    statuses: Vec<MachineStatus>,
    busy: HashMap<String, Busy>,
    counts: HashMap<(String, String), Counted>,
    words: HashMap<String, (&'static str, f64)>,
    last_heard: HashMap<String, String>,
    links: HashMap<(String, String), String>,
    programs: Programs,
}

/// A reading of a machine's CPU time, and the share of its cores used since the reading before.
#[derive(Debug, Clone, Copy)]
struct Busy {
    at: Instant,
    seconds: f64,
    share: Option<f64>,
}

/// A reading of a wire's counters, and the rates since the reading before.
#[derive(Debug, Clone, Copy)]
struct Counted {
    at: Instant,
    requests: f64,
    failed: f64,
    rps: Option<f64>,
    share: Option<f64>,
}

/// Samples and publishes until `stop` is cancelled.
pub(crate) async fn run(desk: Arc<Desk>, stop: CancellationToken) {
    let mut memory = Memory::default();
    let mut last_second = Instant::now();
    let (mut published, mut said_at) = (Snapshot::default(), Instant::now());
    for look in 0u32.. {
        let pause = if desk.is_watched() { LOOK_EVERY } else { SECOND };
        let is_wanted_now = tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause) => false,
            // A page that has just been opened does not wait for the next sample.
            () = desk.first_look() => true,
        };
        memory.news = is_wanted_now;
        for event in desk.lab.events.since(memory.heard) {
            memory.heard += 1;
            memory.news = true;
            memory.hear(&event, &desk);
        }
        if last_second.elapsed() >= SECOND {
            last_second = Instant::now();
            desk.traffics.tick();
        }
        if desk.is_watched() {
            let snapshot = memory.look(&desk, look).await;
            if is_wanted_now || said_at.elapsed() >= SILENCE_MAX || !snapshot.is_like(&published) {
                said_at = Instant::now();
                desk.publish(&snapshot);
                published = snapshot;
            }
        }
    }
}

impl Memory {
    fn hear(&mut self, event: &Event, desk: &Desk) {
        if deeds::is_fault(&event.what) {
            desk.traffics.fault_happened(event.at, event.what.to_string());
        }
        if let Happening::Link { from, to, now } = &event.what {
            match (now.as_str(), from.as_str()) {
                ("healed", "every machine") => self.links.clear(),
                ("healed", _) => drop(self.links.remove(&(from.clone(), to.clone()))),
                _ => drop(self.links.insert((from.clone(), to.clone()), now.clone())),
            }
        }
        let Some(machine) = deeds::subject(&event.what) else { return };
        let keeps = match &event.what {
            Happening::MachineEnded { how, by, .. } => Some(format!("{how}{by}")),
            Happening::Frozen { by, .. } => Some(format!("stopped{by}")),
            Happening::Disconnected { .. } => Some("off the lab's network".into()),
            _ => None,
        };
        if let Some(reason) = keeps {
            self.last_heard.insert(machine.to_owned(), reason);
        }
    }

    async fn look(&mut self, desk: &Desk, look: u32) -> Snapshot {
        let is_due = self.news || look.is_multiple_of(FIGURES_EVERY);
        if is_due || self.statuses.is_empty() {
            self.statuses = desk.lab.status().await;
        }
        let statuses = std::mem::take(&mut self.statuses);
        let at = desk.lab.events.clock().now().as_secs_f64();
        let plan = desk.lab.plan();
        let all = self.news || look.is_multiple_of(PROGRAMS_EVERY);
        if all || is_due {
            let answers =
                statuses.iter().filter(|status| status.on && (status.usage.is_some() || status.unmeasured));
            let names = answers.map(|status| status.name.clone()).collect();
            self.programs.ask(&plan, names, |machine| all || machine.has(Program::Lb));
        }
        let ejected = self.ejected(&statuses);
        let machines = statuses.iter().map(|status| {
            let kind = plan.machines.get(&status.name).map_or(&status.name, |machine| &machine.kind);
            self.machine(status, kind, at, is_due, ejected.get(&status.name).map_or(&[], Vec::as_slice))
        });
        let machines = machines.collect();
        self.statuses = statuses;
        let traffics = desk.traffics.views();
        let wires = topology::wires(&desk.source.chapter, &plan);
        let wires = wires.into_iter().map(|wire| match wire.carries {
            Carries::Traffic => self.traffic_wire(wire, desk, &traffics),
            _ => self.inner_wire(wire, &plan.links),
        });
        let wires = wires.collect();
        let totals = desk.traffics.totals(&traffics);
        let (capacity, run) = (desk.traffics.capacity(), desk.run.as_ref().and_then(RunLog::now));
        Snapshot { schema: SCHEMA, at, machines, wires, traffics, totals, capacity, run }
    }

    /// Lists, by machine, the running balancers that have ejected it.
    fn ejected(&self, statuses: &[MachineStatus]) -> HashMap<String, Vec<String>> {
        let mut ejected: HashMap<String, Vec<String>> = HashMap::new();
        for status in statuses {
            let upstreams = self.programs.of(&status.name).map(|said| said.upstreams).unwrap_or_default();
            for upstream in upstreams.iter().filter(|upstream| !upstream.in_rotation) {
                ejected.entry(upstream.name.clone()).or_default().push(status.name.clone());
            }
        }
        ejected
    }

    fn machine(
        &mut self,
        status: &MachineStatus,
        kind: &str,
        at: f64,
        is_new: bool,
        ejected: &[String],
    ) -> MachineView {
        let cpu = match is_new {
            true => self.cpu(status),
            false => self.busy.get(&status.name).and_then(|busy| busy.share),
        };
        let last = self.last_heard.get(&status.name).map(String::as_str);
        let condition = snapshot::condition(status, cpu, last, ejected);
        let since = self.words.entry(status.name.clone()).or_insert((condition.word, at));
        if since.0 != condition.word {
            *since = (condition.word, at);
        }
        let since = since.1;
        let said = self.programs.of(&status.name);
        MachineView {
            name: status.name.clone(),
            kind: kind.to_owned(),
            programs: snapshot::programs(status),
            condition,
            since,
            role: said.as_ref().and_then(role),
            pid: status.pid,
            cores: status.cores,
            price: status.price,
            cpu,
            queue: status.usage.map(|usage| usage.cpu_waiting),
            memory_held: status.usage.map(|usage| usage.memory_held),
            memory_limit: status.usage.map(|usage| usage.memory_limit),
            in_flight: said.as_ref().and_then(in_flight),
            policy: said.and_then(policy),
        }
    }

    /// Returns the share of a machine's cores used since the last sample.
    fn cpu(&mut self, status: &MachineStatus) -> Option<f64> {
        let Some(usage) = status.usage else {
            self.busy.remove(&status.name);
            return None;
        };
        let (at, seconds) = (Instant::now(), usage.cpu_busy_seconds);
        let share = self.busy.get(&status.name).and_then(|before| {
            let span = at.duration_since(before.at).as_secs_f64() * f64::from(status.cores.max(1));
            // A restarted machine counts from zero.
            let is_on = seconds >= before.seconds && span > 0.0;
            is_on.then(|| snapshot::rounded(((seconds - before.seconds) / span).min(1.0)))
        });
        self.busy.insert(status.name.clone(), Busy { at, seconds, share });
        share
    }

    fn traffic_wire(&self, wire: Wire, desk: &Desk, traffics: &[snapshot::TrafficView]) -> WireView {
        let name_of = |to: &str| to.split(['/', ':']).next().unwrap_or(to).to_owned();
        let mine = desk.traffics.all().filter(|traffic| name_of(&traffic.to) == wire.to);
        let names: Vec<_> = mine.map(|traffic| traffic.stream.name.as_str()).collect();
        let views = traffics.iter().filter(|view| names.contains(&view.name.as_str()));
        let (sent, failed, ok) = views
            .fold((0.0, 0.0, 0.0), |sum, view| (sum.0 + view.sent, sum.1 + view.failed, sum.2 + view.ok));
        let answered = failed + ok;
        let share = (answered > 0.0).then(|| failed / answered);
        WireView { rps: Some(sent), failed: share, ..view(wire, false, None, false) }
    }

    fn inner_wire(&mut self, wire: Wire, links: &[lab::plan::LinkPlan]) -> WireView {
        let kind_of = |name: &str| name.rsplit_once('-').map_or(name.to_owned(), |(kind, _)| kind.to_owned());
        let is = |name: &str, wanted: &str| name == wanted || kind_of(name) == wanted;
        let link = links
            .iter()
            .any(|link| (is(&wire.from, &link.from) || link.from == wire.from) && is(&link.to, &wire.to));
        let now = self
            .links
            .iter()
            .find(|((from, to), _)| is(&wire.from, from) && (is(&wire.to, to) || is(to, &wire.to)));
        let now = now.map(|(_, now)| now.clone());
        let said = self.programs.of(&wire.from);
        let upstream = said.as_ref().and_then(|said| said.upstreams.iter().find(|one| one.name == wire.to));
        let ejected = upstream.is_some_and(|upstream| !upstream.in_rotation);
        let next = upstream.is_some_and(|upstream| upstream.next);
        let counts = said.as_ref().and_then(|said| match wire.carries {
            Carries::Requests => upstream.map(|one| (one.requests as f64, one.failed as f64)),
            Carries::Queries => said.shop.map(|shop| (shop.queries, shop.failures)),
            Carries::Cache => said.shop.map(|shop| (shop.reads, 0.0)),
            Carries::Traffic | Carries::Copies => None,
        });
        let rate = counts.zip(said.map(|said| said.at));
        let counted = rate.map(|((requests, failed), at)| self.count(&wire, at, requests, failed));
        WireView {
            rps: counted.and_then(|counted| counted.rps),
            failed: counted.and_then(|counted| counted.share),
            next,
            ..view(wire, link, now, ejected)
        }
    }

    /// Adds a reading of a wire's counters.
    fn count(&mut self, wire: &Wire, at: Instant, requests: f64, failed: f64) -> Counted {
        let key = (wire.from.clone(), wire.to.clone());
        let new = Counted { at, requests, failed, rps: None, share: None };
        let before = *self.counts.entry(key.clone()).or_insert(new);
        if before.at == at {
            return before;
        }
        let span = at.duration_since(before.at).as_secs_f64();
        let (sent, lost) = (requests - before.requests, failed - before.failed);
        let grew = sent >= 0.0 && lost >= 0.0 && span > 0.0;
        let counted = Counted {
            rps: grew.then(|| sent / span),
            share: (grew && sent > 0.0).then(|| (lost / sent).min(1.0)),
            ..new
        };
        self.counts.insert(key, counted);
        counted
    }
}

fn view(wire: Wire, link: bool, now: Option<String>, ejected: bool) -> WireView {
    let Wire { from, to, carries } = wire;
    debug_assert!(from != to, "a wire joins two machines, or comes from {CLIENTS}");
    WireView { from, to, carries, rps: None, failed: None, link, now, ejected, next: false }
}

fn role(said: &Said) -> Option<String> {
    if let Some(pair) = &said.pair {
        return Some(pair.role.clone());
    }
    let node = said.node.as_ref().filter(|node| node.mode != "single")?;
    Some(format!("{}, term {}", node.role, node.term))
}

/// How many upcoming turns are shown.
const ANNOUNCED: usize = 5;

fn policy(said: Said) -> Option<PolicyView> {
    let policy = said.policy?;
    // With any other policy, the order depends on what happens in the meantime.
    let turns = if policy.policy == "round-robin" { ANNOUNCED } else { 0 };
    let order = policy.order.into_iter().take(turns).collect();
    Some(PolicyView { name: policy.policy, turns_taken: policy.turns_taken, order })
}

fn in_flight(said: &Said) -> Option<u64> {
    let shop = said.shop.map(|shop| shop.in_flight as u64);
    let forwarded = said.upstreams.iter().map(|upstream| upstream.in_flight).sum();
    shop.or((!said.upstreams.is_empty()).then_some(forwarded))
}
