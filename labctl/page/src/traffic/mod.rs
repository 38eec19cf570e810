//! The keeper's one generator: a stream for each traffic of the chapter, at rest until it is given a rate.

mod search;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chapter::role;
use indexmap::IndexMap;
use lab::error::LabError;
use load::{Generator, Moment, Rate, Recorder, Stream, StreamId};
use parking_lot::Mutex;

pub(crate) use self::search::PROBE;
use crate::running::Running;
use crate::snapshot::{CapacityView, Fault, Second, Totals, TrafficView};

/// How fast users log in, in requests a second.
const LOGIN_RATE: f64 = 200.0;
/// How long the answers to that may take beyond what was expected.
const LOGIN_MARGIN: Duration = Duration::from_secs(2);
/// How long requests are remembered.
const MEMORY: Duration = Duration::from_secs(120);
/// For how long failures are counted after a fault: a little less than requests are remembered.
const FAULT_COUNTED: Duration = Duration::from_secs(100);
/// After this time an arrival is entered for certain.
const ENTERED: Duration = Duration::from_millis(200);
/// Seconds that charts show.
const HISTORY: usize = 60;
/// The highest rate that can be asked for, in requests a second: the same as of `labctl load`.
pub const RATE_MAX: f64 = 20_000.0;
/// What is called now.
const SPAN: Duration = Duration::from_secs(1);

/// A traffic that can be sent by hand.
#[derive(Debug, Clone)]
pub struct ManualTraffic {
    /// What is sent.
    pub stream: Stream,
    /// What its users say first, each once: they log in. None where nobody has to.
    pub login: Option<Stream>,
    /// How many users there are.
    pub users: u64,
    /// For whom it is, as the chapter says: `lb`, `db:primary`.
    pub to: String,
}

/// Who sends the traffics.
#[derive(Debug)]
enum Sender {
    /// The page, at rates that are asked for.
    Page(Generator),
    /// A run, at its own rates: they are only shown.
    Run(Recorder),
}

/// The traffics under way.
#[derive(Debug)]
pub(crate) struct Traffics {
    sender: Sender,
    origin: Instant,
    lanes: Vec<Lane>,
    /// One change at a time: users log in once.
    changing: tokio::sync::Mutex<()>,
    seconds: Mutex<VecDeque<Second>>,
    fault: Mutex<Option<SinceFault>>,
    capacity: Mutex<Option<CapacityView>>,
    /// One search at a time.
    searching: tokio::sync::Mutex<()>,
}

/// The last fault, and what is known of every lane since then.
#[derive(Debug)]
struct SinceFault {
    at: Moment,
    fault: Fault,
    known: Vec<Known>,
    shown: Vec<(usize, usize)>,
}

/// What is settled of a lane up to a moment.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    until: Moment,
    failed: usize,
    of: usize,
}

#[derive(Debug)]
struct Lane {
    id: StreamId,
    traffic: ManualTraffic,
    state: Mutex<LaneState>,
    /// The stream that rates of this traffic are tried with, once there was a search.
    probe: Mutex<Option<StreamId>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct LaneState {
    rate: f64,
    logged_in: bool,
    /// When it was last given another rate.
    changed: Moment,
}

impl Traffics {
    /// All of them, at rest.
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

    /// Those of a run, which sends them itself.
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

    /// The traffics, in the chapter's order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &ManualTraffic> {
        self.lanes.iter().map(|lane| &lane.traffic)
    }

    /// The traffic of a name, or the first one.
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

    /// Gives a traffic another rate; 0 stops it. Its users log in first, once.
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
                "a run sends this lab's traffics at its own rates; `labctl up` starts a lab that is yours",
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

    /// A traffic for a role goes to the machine that has it now.
    async fn aim(
        &self,
        lab: &Running,
        generator: &Generator,
        id: StreamId,
        lane: &Lane,
    ) -> Result<(), LabError> {
        // In a stack of somebody else's, any machine may have moved.
        if role::parse(&lane.traffic.to).is_none() && lab.can_act() {
            return Ok(());
        }
        let machine = lab.who_is(&lane.traffic.to).await?;
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

    /// Every traffic as it is now.
    pub(crate) fn views(&self) -> Vec<TrafficView> {
        let now = self.recorder().now();
        let since = self.count_since_the_fault();
        self.lanes.iter().zip(since).map(|(lane, since)| self.view(lane, now, since)).collect()
    }

    fn view(&self, lane: &Lane, now: Moment, (failed_since, of_since): (usize, usize)) -> TrafficView {
        let state = *lane.state.lock();
        let name = lane.traffic.stream.name.clone();
        let live = self.recorder().live(lane.id);
        let rate = match self.sender {
            Sender::Page(_) => state.rate,
            Sender::Run(_) => live.offered,
        };
        let is_at_rest = rate == 0.0 && live.in_flight == 0 && live.ok + live.failed == 0;
        if is_at_rest && now > state.changed + SPAN + lane.traffic.stream.timeout {
            return TrafficView { name, failed_since, of_since, ..TrafficView::default() };
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
        }
    }

    /// All of them together.
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

    /// From now on failures are counted from this fault, which happened so long after the lab's beginning.
    pub(crate) fn fault_happened(&self, at: Duration, what: String) {
        let fault = Fault { at: at.as_secs_f64(), what, failed: 0, of: 0, counted_s: 0.0 };
        let known = vec![Known { until: at, ..Known::default() }; self.lanes.len()];
        *self.fault.lock() = Some(SinceFault { at, fault, known, shown: vec![(0, 0); self.lanes.len()] });
    }

    /// Counts what became clear since the last fault, and returns it for each traffic: failed, and of how many.
    fn count_since_the_fault(&self) -> Vec<(usize, usize)> {
        let mut fault = self.fault.lock();
        let Some(since) = fault.as_mut() else { return vec![(0, 0); self.lanes.len()] };
        let now = self.recorder().now();
        let counted = now.saturating_sub(since.at);
        if counted < FAULT_COUNTED {
            // The newest arrivals may not be entered yet.
            let sure = now.saturating_sub(ENTERED);
            since.shown = self
                .lanes
                .iter()
                .zip(&mut since.known)
                .map(|(lane, known)| {
                    // What is settled is counted once, and only the rest anew.
                    let settled = self.recorder().known_window(lane.id, known.until, sure.max(known.until));
                    known.until = settled.to;
                    known.failed += settled.failed();
                    known.of += settled.requests();
                    let rest = self.recorder().window(lane.id, known.until, now);
                    (known.failed + rest.failed(), known.of + rest.requests())
                })
                .collect();
            since.fault.failed = since.shown.iter().map(|(failed, _)| failed).sum();
            since.fault.of = since.shown.iter().map(|(_, of)| of).sum();
            since.fault.counted_s = counted.as_secs() as f64;
        }
        since.shown.clone()
    }

    /// Notes the last second for the charts, and forgets what is long past. To be called once a second.
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
        // What a run has measured is not the page's to forget.
        if matches!(self.sender, Sender::Page(_)) {
            self.recorder().forget(now.saturating_sub(MEMORY));
        }
    }

    /// The last minute, a second each.
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
