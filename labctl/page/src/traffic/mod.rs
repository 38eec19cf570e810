//! The page's one load generator: a stream for each traffic of the chapter, idle until it is given a rate.

mod outage;
mod search;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chapter::role;
use indexmap::IndexMap;
use lab::error::LabError;
use load::{Generator, Moment, Rate, Recorder, Stream, StreamId};
use parking_lot::Mutex;

use self::outage::Answers;
pub(crate) use self::search::PROBE;
use crate::running::Running;
use crate::snapshot::{CapacityView, Fault, Outage, Second, Totals, TrafficView};

/// The rate at which users log in, in requests a second.
const LOGIN_RATE: f64 = 200.0;
/// How long login responses may take beyond their timeout.
const LOGIN_MARGIN: Duration = Duration::from_secs(2);
/// How long requests are remembered.
const MEMORY: Duration = Duration::from_secs(120);
/// For how long failures are counted after a fault: a little less than requests are remembered.
const FAULT_COUNTED: Duration = Duration::from_secs(100);
/// The time after which an arrival has certainly been recorded.
const ENTERED: Duration = Duration::from_millis(200);
/// The number of seconds that charts show.
const HISTORY: usize = 60;
/// The highest rate that can be requested, in requests a second: the same as for `labctl load`.
pub const RATE_MAX: f64 = 20_000.0;
/// The window over which current figures are computed.
const SPAN: Duration = Duration::from_secs(1);

/// A traffic that can be sent by hand.
#[derive(Debug, Clone)]
pub struct ManualTraffic {
    /// The requests.
    pub stream: Stream,
    /// The login request of its users, each sent once. None if they need not log in.
    pub login: Option<Stream>,
    /// The number of users.
    pub users: u64,
    /// Its target, as the chapter names it: `lb`, `db:primary`.
    pub to: String,
}

/// The sender of the traffics.
#[derive(Debug)]
enum Sender {
    /// The page, at the requested rates.
    Page(Generator),
    /// A run, at its own rates: the page only shows them.
    Run(Recorder),
}

/// The traffics of the page.
#[derive(Debug)]
pub(crate) struct Traffics {
    sender: Sender,
    origin: Instant,
    lanes: Vec<Lane>,
    /// Serializes changes, so that users log in only once.
    changing: tokio::sync::Mutex<()>,
    seconds: Mutex<VecDeque<Second>>,
    fault: Mutex<Option<SinceFault>>,
    capacity: Mutex<Option<CapacityView>>,
    /// Allows one search at a time.
    searching: tokio::sync::Mutex<()>,
}

/// The last fault, and the requests counted for every lane since then.
#[derive(Debug)]
struct SinceFault {
    at: Moment,
    fault: Fault,
    known: Vec<Known>,
    shown: Vec<Since>,
}

/// The settled requests of a lane up to a moment.
#[derive(Debug, Clone, Default)]
struct Known {
    until: Moment,
    failed: usize,
    of: usize,
    answers: Answers,
}

/// The requests of a lane since the last fault.
#[derive(Debug, Clone, Copy, Default)]
struct Since {
    failed: usize,
    of: usize,
    outage: Option<Outage>,
}

#[derive(Debug)]
struct Lane {
    id: StreamId,
    traffic: ManualTraffic,
    state: Mutex<LaneState>,
    /// The stream that a capacity search sends on, created by the first search.
    probe: Mutex<Option<StreamId>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct LaneState {
    rate: f64,
    logged_in: bool,
    /// When its rate last changed.
    changed: Moment,
}

impl Traffics {
    /// Creates all traffics, idle.
    pub(crate) fn new(traffics: Vec<ManualTraffic>, origin: Instant) -> Result<Self, LabError> {
        let generator = Generator::start(origin).map_err(anyhow::Error::from)?;
        let lanes = traffics.into_iter().map(|traffic| {
            let id = generator.add(traffic.stream.clone());
            let id = id.map_err(|error| LabError::Usage(error.to_string()))?;
            Ok(Lane::new(id, traffic))
        });
        let lanes = lanes.collect::<Result<_, LabError>>()?;
        Ok(Self::with(Sender::Page(generator), lanes, origin))
    }

    /// Shows the traffics of a run, which sends them itself.
    pub(crate) fn of_run(
        traffics: Vec<ManualTraffic>,
        recorder: Recorder,
        streams: &IndexMap<String, StreamId>,
        origin: Instant,
    ) -> Self {
        let lanes = traffics.into_iter().filter_map(|traffic| {
            let id = *streams.get(&traffic.stream.name)?;
            Some(Lane::new(id, traffic))
        });
        let lanes = lanes.collect();
        Self::with(Sender::Run(recorder), lanes, origin)
    }

    fn with(sender: Sender, lanes: Vec<Lane>, origin: Instant) -> Self {
        Self {
            sender,
            origin,
            lanes,
            changing: tokio::sync::Mutex::default(),
            seconds: Mutex::default(),
            fault: Mutex::default(),
            capacity: Mutex::default(),
            searching: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the traffics, in the chapter's order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &ManualTraffic> {
        self.lanes.iter().map(|lane| &lane.traffic)
    }

    /// Finds a traffic by name; without a name, the first one.
    fn lane(&self, name: Option<&str>) -> Result<&Lane, LabError> {
        let found = match name {
            Some(name) => self.lanes.iter().find(|lane| lane.traffic.stream.name == name),
            None => self.lanes.first(),
        };
        found.ok_or_else(|| {
            let known: Vec<_> = self.all().map(|traffic| &*traffic.stream.name).collect();
            LabError::Usage(match known.join(", ").as_str() {
                "" => "this chapter has no traffic".into(),
                known => format!("there is no such traffic; there are: {known}"),
            })
        })
    }

    /// Sets a traffic's rate; 0 stops it. Its users log in first, once.
    pub(crate) async fn set_rate(
        &self,
        lab: &Running,
        name: Option<&str>,
        rate: f64,
    ) -> Result<String, LabError> {
        if !(0.0..=RATE_MAX).contains(&rate) {
            return Err(LabError::Usage(format!(
                "{rate} is not a rate between 0 and {} requests a second",
                RATE_MAX
            )));
        }
        let generator = self.generator()?;
        let lane = self.lane(name)?;
        let _one = self.changing.lock().await;
        if rate > 0.0 && lane.state.lock().rate == 0.0 {
            self.log_in(generator, lane).await?;
            self.aim(lab, generator, lane.id, lane).await?;
        }
        generator.set_rate(lane.id, if rate > 0.0 { Rate::Steady(rate) } else { Rate::STOPPED });
        let mut state = lane.state.lock();
        (state.rate, state.changed) = (rate, self.recorder().now());
        Ok(lane.traffic.stream.name.clone())
    }

    fn generator(&self) -> Result<&Generator, LabError> {
        match &self.sender {
            Sender::Page(generator) => Ok(generator),
            Sender::Run(_) => Err(LabError::not_ready(
                "a run sends this lab's traffics at its own rates; `labctl up` starts a lab that you control",
            )),
        }
    }

    async fn log_in(&self, generator: &Generator, lane: &Lane) -> Result<(), LabError> {
        let Some(stream) = lane.traffic.login.clone().filter(|_| !lane.state.lock().logged_in) else {
            return Ok(());
        };
        let patience = stream.timeout;
        let id = generator.add(stream).map_err(|error| LabError::Usage(error.to_string()))?;
        generator.send_and_wait(id, lane.traffic.users, LOGIN_RATE, patience + LOGIN_MARGIN).await;
        lane.state.lock().logged_in = true;
        Ok(())
    }

    /// Aims a traffic for a role at the machine that has the role now.
    async fn aim(
        &self,
        lab: &Running,
        generator: &Generator,
        id: StreamId,
        lane: &Lane,
    ) -> Result<(), LabError> {
        // In a stack that labctl does not keep, any machine may have moved.
        if role::parse(&lane.traffic.to).is_none() && lab.can_act() {
            return Ok(());
        }
        let machine = lab.resolve(&lane.traffic.to).await?;
        match lab.plan().address_of(&machine) {
            Some(address) if address.ip().is_unspecified() => Err(LabError::not_ready(format!(
                "{machine} has not been seen yet: docker compose ps says whether it is up"
            ))),
            Some(address) => {
                generator.aim(id, address);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn recorder(&self) -> &Recorder {
        match &self.sender {
            Sender::Page(generator) => generator.recorder(),
            Sender::Run(recorder) => recorder,
        }
    }

    /// Returns the current figures of every traffic.
    pub(crate) fn views(&self) -> Vec<TrafficView> {
        let now = self.recorder().now();
        let since = self.count_since_the_fault();
        self.lanes.iter().zip(since).map(|(lane, since)| self.view(lane, now, since)).collect()
    }

    fn view(&self, lane: &Lane, now: Moment, since: Since) -> TrafficView {
        let Since { failed: failed_since, of: of_since, outage } = since;
        let state = *lane.state.lock();
        let name = lane.traffic.stream.name.clone();
        let live = self.recorder().live(lane.id);
        let rate = match self.sender {
            Sender::Page(_) => state.rate,
            Sender::Run(_) => live.offered,
        };
        let is_at_rest = rate == 0.0 && live.in_flight == 0 && live.ok + live.failed == 0;
        if is_at_rest && now > state.changed + SPAN + lane.traffic.stream.timeout {
            return TrafficView { name, failed_since, of_since, outage, ..TrafficView::default() };
        }
        let window = self.recorder().window(lane.id, now.saturating_sub(SPAN), now);
        let count = |count: usize| count as f64 / SPAN.as_secs_f64();
        TrafficView {
            name,
            rate,
            sent: count(window.requests() + window.unfinished),
            ok: count(live.ok),
            failed: count(live.failed),
            p50_ms: millis(window.percentile(50.0)),
            p99_ms: millis(live.p99),
            in_flight: live.in_flight,
            lag_ms: window.lag_p99().as_secs_f64() * 1e3,
            served: window.served().into_iter().map(|(name, count)| (name.to_string(), count)).collect(),
            cache: window.cache_marks().into_iter().map(|(mark, count)| (mark.name(), count)).collect(),
            failed_since,
            of_since,
            outage,
        }
    }

    /// Sums up all traffics.
    pub(crate) fn totals(&self, views: &[TrafficView]) -> Totals {
        let sum = |of: fn(&TrafficView) -> f64| views.iter().map(of).sum::<f64>();
        Totals {
            offered: sum(|view| view.rate),
            good: sum(|view| view.ok),
            failed: sum(|view| view.failed),
            p99_ms: views.iter().filter_map(|view| view.p99_ms).reduce(f64::max),
            lag_ms: views.iter().map(|view| view.lag_ms).fold(0.0, f64::max),
            in_flight: views.iter().map(|view| view.in_flight).sum(),
            fault: self.fault.lock().as_ref().map(|since| since.fault.clone()),
        }
    }

    /// Counts failures from this fault on, which happened `at` after the lab's start.
    pub(crate) fn fault_happened(&self, at: Duration, what: String) {
        let fault = Fault { at: at.as_secs_f64(), what, failed: 0, of: 0, counted_s: 0.0 };
        let known = vec![Known { until: at, ..Known::default() }; self.lanes.len()];
        *self.fault.lock() =
            Some(SinceFault { at, fault, known, shown: vec![Since::default(); self.lanes.len()] });
    }

    /// Counts the requests of each traffic since the last fault.
    fn count_since_the_fault(&self) -> Vec<Since> {
        let mut fault = self.fault.lock();
        let Some(since) = fault.as_mut() else { return vec![Since::default(); self.lanes.len()] };
        let now = self.recorder().now();
        let counted = now.saturating_sub(since.at);
        if counted < FAULT_COUNTED {
            // The newest arrivals may not be recorded yet.
            let sure = now.saturating_sub(ENTERED);
            since.shown = self
                .lanes
                .iter()
                .zip(&mut since.known)
                .map(|(lane, known)| {
                    // Settled requests are counted once; only the rest is counted again.
                    let settled = self.recorder().known_window(lane.id, known.until, sure.max(known.until));
                    known.until = settled.to;
                    known.failed += settled.failed();
                    known.of += settled.requests();
                    known.answers.add(since.at, settled.samples());
                    let rest = self.recorder().window(lane.id, known.until, now);
                    let failed = known.failed + rest.failed();
                    let mut answers = known.answers.clone();
                    answers.add(since.at, rest.samples());
                    Since { failed, of: known.of + rest.requests(), outage: answers.outage() }
                })
                .collect();
            since.fault.failed = since.shown.iter().map(|shown| shown.failed).sum();
            since.fault.of = since.shown.iter().map(|shown| shown.of).sum();
            since.fault.counted_s = counted.as_secs() as f64;
        }
        since.shown.clone()
    }

    /// Records the last second for the charts, and drops what is older than [`MEMORY`]. Call it once a second.
    pub(crate) fn tick(&self) {
        let now = self.recorder().now();
        let views = self.views();
        let totals = self.totals(&views);
        let mut seconds = self.seconds.lock();
        seconds.push_back(Second {
            at: self.origin.elapsed().as_secs_f64(),
            offered: totals.offered,
            good: totals.good,
            failed: totals.failed,
            p50_ms: views.iter().filter_map(|view| view.p50_ms).reduce(f64::max),
            p99_ms: totals.p99_ms,
        });
        while seconds.len() > HISTORY {
            seconds.pop_front();
        }
        // A run's measurements are not the page's to drop.
        if matches!(self.sender, Sender::Page(_)) {
            self.recorder().forget(now.saturating_sub(MEMORY));
        }
    }

    /// Returns the last minute, second by second.
    pub(crate) fn history(&self) -> Vec<Second> {
        self.seconds.lock().iter().cloned().collect()
    }
}

impl Lane {
    fn new(id: StreamId, traffic: ManualTraffic) -> Self {
        Self { id, traffic, state: Mutex::default(), probe: Mutex::default() }
    }
}

fn millis(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64() * 1e3)
}
