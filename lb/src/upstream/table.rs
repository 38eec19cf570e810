//! The table of upstreams. A writer takes a lock and publishes a new snapshot (copy-on-write);
//! requests read the latest snapshot and never wait.
//!
//! Membership, draining, weights and health are changed together, so no request sees half a change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Cache};
use machine::names::Resolver;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::breaker::{self, Breaker};
use super::health::{self, Health};
use super::member::Member;
pub use super::member::{Check, Fault, FaultKind, State};
use super::outcome_tracker::OutcomeTracker;
use super::rotation::{MemberView, may_eject, rotation};
use super::{Address, Upstream, slow_start};
use crate::choose::sticky::Key;
use crate::choose::{Candidate, Pool};
use crate::events::{EventKind, Events};

/// All upstreams and their state.
#[derive(Debug)]
pub struct Table {
    published: Arc<ArcSwap<Snapshot>>,
    members: Mutex<Members>,
    events: Arc<Events>,
    options: PoolOptions,
    names: Resolver,
    called: Arc<Notify>,
}

/// How the table treats upstreams.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// When passive checks eject an upstream, and for how long.
    pub breaker: breaker::Rules,
    /// Duration of the slow start; zero turns it off.
    pub slow_start: Duration,
    /// Panic mode begins when fewer than this percentage are healthy; 0 turns it off.
    pub panic_below: u32,
    /// The key of the sticky cookies, if clients are bound to upstreams.
    pub key: Option<Key>,
}

/// The upstreams that may take a request, at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The upstreams in rotation.
    pub pool: Pool,
    /// All upstreams.
    pub all: Vec<Arc<Upstream>>,
    /// True in panic mode: too few are healthy, so ejected ones take requests too.
    pub panic: bool,
}

/// A thread's view of the table: reading it costs one load and one comparison.
pub type View = Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>;

#[derive(Debug)]
struct Members {
    list: Vec<Member>,
    next_id: u64,
}

/// The state in which a new upstream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialState {
    /// It takes requests at once.
    PresumedUp,
    /// It takes requests after its first successful check.
    Unknown,
}

/// An upstream's state, for the admin interface and the metrics.
#[derive(Debug, Clone)]
pub struct Report {
    /// The upstream it belongs to.
    pub upstream: Arc<Upstream>,
    /// Its state.
    pub state: State,
    /// The state of its circuit breaker.
    pub breaker: breaker::State,
    /// Its share of the requests, relative to the others.
    pub weight: u32,
    /// Its latest check.
    pub last_check: Option<Check>,
}

/// An upstream of this name exists already.
#[derive(Debug, thiserror::Error)]
#[error("there is an upstream called '{0}' already")]
pub struct NameTaken(String);

impl Table {
    /// Creates a table without upstreams.
    pub fn new(options: PoolOptions, events: Arc<Events>) -> Self {
        let members = Mutex::new(Members { list: Vec::new(), next_id: 0 });
        let (published, called, names) = (Arc::default(), Arc::default(), Resolver::system());
        Self { published, members, events, options, names, called }
    }

    /// Sets the resolver for the upstreams' names.
    #[must_use]
    pub fn with_names(self, names: Resolver) -> Self {
        Self { names, ..self }
    }

    /// Creates a view for one thread.
    pub fn view(&self) -> View {
        Cache::new(Arc::clone(&self.published))
    }

    /// The current snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.published.load_full()
    }

    /// Adds an upstream. The token is cancelled when the upstream is removed.
    pub fn add(
        &self,
        address: Address,
        initial: InitialState,
        rules: health::Rules,
    ) -> Result<(Arc<Upstream>, CancellationToken), NameTaken> {
        let mut members = self.members.lock();
        if members.list.iter().any(|member| member.upstream.name == address.name) {
            return Err(NameTaken(address.name));
        }
        members.next_id += 1;
        let weight = address.weight;
        let pin = self.options.key.as_ref().map(|key| key.pin(&address.name));
        let outcomes = OutcomeTracker::new(self.options.breaker.fall, Arc::clone(&self.called));
        let way = self.names.name(&address.address);
        let upstream = Arc::new(Upstream::new(members.next_id, address, way).with(pin, outcomes));
        let removed = CancellationToken::new();
        members.list.push(Member {
            upstream: Arc::clone(&upstream),
            health: match initial {
                InitialState::PresumedUp => Health::presumed_up(rules),
                InitialState::Unknown => Health::unknown(rules),
            },
            breaker: Breaker::new(self.options.breaker),
            weight,
            draining: false,
            since: None,
            last_check: None,
            removed: removed.clone(),
        });
        self.publish(&members);
        self.events.record(&upstream.name, EventKind::Added, format!("at {}", upstream.address));
        Ok((upstream, removed))
    }

    /// Records a check's result, and publishes what follows from it.
    pub fn judge(&self, id: u64, check: Check) {
        let mut members = self.members.lock();
        let Some(member) = members.list.iter_mut().find(|member| member.upstream.id == id) else { return };
        let before = member.known();
        let change = member.judge(check, Instant::now());
        let (changed, upstream) = (member.known() != before, Arc::clone(&member.upstream));
        if changed {
            self.publish(&members);
        }
        if let Some((kind, reason)) = change {
            self.events.record(&upstream.name, kind, reason);
            // The keeper advances the slow start.
            self.called.notify_one();
        }
    }

    /// Evaluates how requests ended and how much time has passed. Returns when time alone will
    /// change something.
    pub fn advance(&self, now: Instant) -> Option<Instant> {
        let mut members = self.members.lock();
        let mut change = Vec::new();
        for index in 0..members.list.len() {
            let may_eject = may_eject(&members.known());
            let member = &mut members.list[index];
            if let Some((kind, reason)) = member.advance(may_eject, now) {
                change.push((member.upstream.name.clone(), kind, reason));
            }
        }
        self.publish_at(&members, now);
        for (name, kind, reason) in change {
            self.events.record(&name, kind, reason);
        }
        let growth = |member: &Member| slow_start::due(member.since, self.options.slow_start, now);
        members.list.iter().flat_map(|member| [member.breaker.due(), growth(member)]).flatten().min()
    }

    /// Completes when [`advance`](Self::advance) must be called ahead of time.
    pub async fn called(&self) {
        self.called.notified().await;
    }

    /// Changes an upstream's weight. Returns `None` if no upstream has this name.
    pub fn set_weight(&self, name: &str, weight: u32) -> Option<()> {
        let mut members = self.members.lock();
        members.list.iter_mut().find(|member| member.upstream.name == name)?.weight = weight;
        self.publish(&members);
        tracing::info!(upstream = name, weight, "weighed");
        Some(())
    }

    /// Takes an upstream out of rotation, or puts it back. Returns `None` if no upstream has this
    /// name.
    pub fn set_draining(&self, name: &str, draining: bool) -> Option<Arc<Upstream>> {
        let mut members = self.members.lock();
        let member = members.list.iter_mut().find(|member| member.upstream.name == name)?;
        let upstream = Arc::clone(&member.upstream);
        if member.draining == draining {
            return Some(upstream);
        }
        member.draining = draining;
        upstream.set_leaving(draining);
        self.publish(&members);
        if draining {
            let reason = format!("{} requests in flight", upstream.in_flight());
            self.events.record(name, EventKind::Draining, reason);
        } else {
            self.events.record(name, EventKind::Admitted, "no longer draining".into());
        }
        Some(upstream)
    }

    /// Drains an upstream for up to `limit`, and removes it. Returns true if it finished all its
    /// requests, and `None` if no upstream has this name.
    pub async fn drain_and_remove(&self, name: &str, limit: Duration) -> Option<bool> {
        let upstream = self.set_draining(name, true)?;
        let drained = tokio::time::timeout(limit, async {
            while upstream.in_flight() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let drained = drained.await.is_ok();
        self.remove(upstream.id, drained);
        Some(drained)
    }

    fn remove(&self, id: u64, drained: bool) {
        let mut members = self.members.lock();
        let Some(index) = members.list.iter().position(|member| member.upstream.id == id) else { return };
        let member = members.list.remove(index);
        // Its drain may have been revoked in the meantime.
        member.upstream.set_leaving(true);
        member.removed.cancel();
        self.publish(&members);
        let reason = match drained {
            true => "drained".to_owned(),
            false => format!("{} requests still in flight", member.upstream.in_flight()),
        };
        self.events.record(&member.upstream.name, EventKind::Removed, reason);
    }

    /// Reports the state of all upstreams.
    pub fn report(&self) -> Vec<Report> {
        let report = |member: &Member| Report {
            upstream: Arc::clone(&member.upstream),
            state: member.state(),
            breaker: member.breaker.state(),
            weight: member.weight,
            last_check: member.last_check.clone(),
        };
        self.members.lock().list.iter().map(report).collect()
    }

    fn publish(&self, members: &Members) {
        self.publish_at(members, Instant::now());
    }

    fn publish_at(&self, members: &Members, now: Instant) {
        let rotation = rotation(&members.known(), self.options.panic_below);
        let share =
            |member: &Member| slow_start::share(member.weight, member.since, self.options.slow_start, now);
        let taking = members.list.iter().zip(rotation.takes).filter(|(_, takes)| *takes);
        let candidate =
            |member: &Member| Candidate { upstream: Arc::clone(&member.upstream), share: share(member) };
        let snapshot = Snapshot {
            pool: Pool::new(taking.map(|(member, _)| candidate(member)).collect()),
            all: members.list.iter().map(|member| Arc::clone(&member.upstream)).collect(),
            panic: rotation.panic,
        };
        let before = self.published.swap(Arc::new(snapshot));
        if rotation.panic != before.panic {
            match rotation.panic {
                true => tracing::warn!(
                    "panic mode: too few upstreams are healthy, so all that accept connections are served"
                ),
                false => tracing::info!("panic mode is over"),
            }
        }
    }
}

impl Members {
    fn known(&self) -> Vec<MemberView> {
        self.list.iter().map(Member::known).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::upstream::Outcome;

    const OPEN: Duration = Duration::from_secs(10);
    const RULES: health::Rules = health::Rules { fall: 1, rise: 1 };

    fn table_with(names: &[&str], initial: InitialState) -> Table {
        let breaker = breaker::Rules { fall: 2, open: OPEN, open_max: OPEN };
        let options = PoolOptions { breaker, slow_start: Duration::ZERO, panic_below: 50, key: None };
        let table = Table::new(options, Arc::default());
        for name in names {
            table.add(Address::new(name, "127.0.0.1:1").unwrap(), initial, RULES).unwrap();
        }
        table
    }

    fn eligible(table: &Table) -> Vec<String> {
        let name = |candidate: &Candidate| candidate.upstream.name.clone();
        table.snapshot().pool.candidates().iter().map(name).collect()
    }

    const PASSED: Result<(), &str> = Ok(());

    fn check(result: Result<(), &str>) -> Check {
        let kind = |detail| match detail {
            "refused" => FaultKind::Refused,
            "unresolved" => FaultKind::NameUnknown,
            _ => FaultKind::Other,
        };
        let result = result.map_err(|detail| Fault { detail: detail.into(), kind: kind(detail) });
        Check { at: SystemTime::UNIX_EPOCH, result }
    }

    fn end(table: &Table, index: usize, outcome: Outcome) {
        let mut request = table.report()[index].upstream.enter().unwrap();
        request.outcome = outcome;
    }

    #[test]
    fn a_newcomer_joins_with_its_first_pass_and_leaves_with_its_failures() {
        let table = table_with(&["web-1"], InitialState::Unknown);
        assert!(eligible(&table).is_empty());
        table.judge(1, check(PASSED));
        assert_eq!(eligible(&table), ["web-1"]);
        table.judge(1, check(Err("refused")));
        assert!(eligible(&table).is_empty());
        assert_eq!(table.report()[0].state, State::Down);
    }

    #[test]
    fn a_name_is_used_once() {
        let table = table_with(&["web-1"], InitialState::PresumedUp);
        let again = Address::new("web-1", "127.0.0.1:2").unwrap();
        assert!(table.add(again, InitialState::PresumedUp, RULES).is_err());
    }

    #[tokio::test]
    async fn a_drain_waits_for_what_is_in_flight() {
        let table = table_with(&["web-1", "web-2"], InitialState::PresumedUp);
        let request = table.report()[0].upstream.enter().unwrap();
        assert_eq!(table.drain_and_remove("web-1", Duration::from_millis(20)).await, Some(false));
        drop(request);
        assert_eq!(table.drain_and_remove("web-2", Duration::from_secs(5)).await, Some(true));
        assert_eq!(table.drain_and_remove("web-2", Duration::from_secs(5)).await, None);
        assert!(table.report().is_empty());
    }

    #[test]
    fn failing_requests_take_an_upstream_out_and_a_good_one_brings_it_back() {
        let table = table_with(&["web-1", "web-2"], InitialState::PresumedUp);
        end(&table, 0, Outcome::Broken);
        end(&table, 0, Outcome::ServerError);
        let due = table.advance(Instant::now()).expect("it will be tried again");
        assert_eq!(eligible(&table), ["web-2"]);
        assert_eq!(table.report()[0].state, State::Ejected);
        table.judge(1, check(PASSED));
        assert_eq!(eligible(&table), ["web-2"], "a check that has never failed says nothing");
        assert_eq!(table.advance(due), None);
        let trial = table.report()[0].upstream.enter().unwrap();
        assert!(table.report()[0].upstream.enter().is_none(), "one at a time");
        drop(trial);
        end(&table, 0, Outcome::Success);
        table.advance(due);
        assert_eq!(table.report()[0].state, State::Up);
        let happened: Vec<_> = table.events.after(2).iter().map(|event| event.kind.label()).collect();
        assert_eq!(happened, ["ejected", "admitted"]);
    }

    #[test]
    fn the_last_half_stays_whatever_its_requests_say() {
        let table = table_with(&["web-1", "web-2", "web-3"], InitialState::PresumedUp);
        for upstream in 0..3 {
            (0..5).for_each(|_| end(&table, upstream, Outcome::Broken));
        }
        table.advance(Instant::now());
        assert_eq!(eligible(&table), ["web-2", "web-3"]);
    }

    #[test]
    fn one_event_tells_that_it_is_out_and_one_that_it_is_back() {
        let table = table_with(&["web-1", "web-2"], InitialState::PresumedUp);
        end(&table, 0, Outcome::ConnectFailed);
        end(&table, 0, Outcome::ConnectFailed);
        table.advance(Instant::now());
        table.judge(1, check(Err("refused")));
        assert_eq!(table.report()[0].state, State::Down);
        table.judge(1, check(PASSED));
        let trial = table.report()[0].upstream.enter().unwrap();
        assert!(table.report()[0].upstream.enter().is_none(), "it is on trial first");
        drop(trial);
        end(&table, 0, Outcome::Success);
        table.advance(Instant::now());
        assert_eq!(table.report()[0].state, State::Up, "checks saw it come back, and its trial went well");
        let happened: Vec<_> = table.events.after(2).iter().map(|event| event.kind.label()).collect();
        assert_eq!(happened, ["ejected", "admitted"]);
    }

    #[test]
    fn when_checks_leave_too_few_all_that_accept_are_served() {
        let table = table_with(&["web-1", "web-2", "web-3"], InitialState::PresumedUp);
        table.judge(1, check(Err("answered 500")));
        table.judge(2, check(Err("refused")));
        assert_eq!(eligible(&table), ["web-1", "web-3"]);
        assert!(table.snapshot().panic);
        table.judge(1, check(PASSED));
        assert!(!table.snapshot().panic);
    }

    #[test]
    fn an_upstream_whose_name_is_unknown_takes_no_request_and_is_not_down() {
        let table = table_with(&["web-1", "web-2"], InitialState::PresumedUp);
        (0..5).for_each(|_| table.judge(1, check(Err("unresolved"))));
        assert_eq!(eligible(&table), ["web-2"]);
        assert_eq!((table.report()[0].state, table.report()[0].upstream.ejections()), (State::Unresolved, 0));
        assert!(!table.snapshot().panic, "nor does it count among those that could serve");
        table.judge(1, check(PASSED));
        assert_eq!(eligible(&table), ["web-1", "web-2"], "it has done nothing wrong");
    }

    #[test]
    fn nobody_slips_in_behind_a_drain() {
        let table = table_with(&["web-1"], InitialState::PresumedUp);
        // A request that chose it a moment ago.
        let chosen = Arc::clone(&table.report()[0].upstream);
        table.set_draining("web-1", true).unwrap();
        assert!(chosen.enter().is_none() && chosen.enter_as_last_resort().is_none());
        table.set_draining("web-1", false).unwrap();
        assert!(chosen.enter().is_some());
    }

    #[test]
    fn one_that_is_removed_is_no_longer_checked() {
        let table = table_with(&[], InitialState::PresumedUp);
        let address = Address::new("web-1", "127.0.0.1:1").unwrap();
        let (upstream, removed) = table.add(address, InitialState::PresumedUp, RULES).unwrap();
        assert!(!removed.is_cancelled());
        table.remove(upstream.id, true);
        assert!(removed.is_cancelled() && upstream.enter().is_none());
    }

    #[test]
    fn one_that_returns_starts_slowly_whoever_had_taken_it_out() {
        let share = |table: &Table, name: &str| {
            let snapshot = table.snapshot();
            let found = snapshot.pool.candidates().iter().find(|one| one.upstream.name == name);
            found.map(|candidate| candidate.share)
        };
        for by_requests in [false, true] {
            let mut table = table_with(&["web-1", "web-2"], InitialState::PresumedUp);
            table.options.slow_start = Duration::from_secs(3600);
            assert_eq!(share(&table, "web-1"), Some(slow_start::STEPS));
            if by_requests {
                end(&table, 0, Outcome::Broken);
                end(&table, 0, Outcome::Broken);
                let due = table.advance(Instant::now()).unwrap();
                table.advance(due);
                end(&table, 0, Outcome::Success);
                table.advance(due);
            } else {
                table.judge(1, check(Err("refused")));
                assert_eq!(share(&table, "web-1"), None);
                table.judge(1, check(PASSED));
            }
            assert_eq!(share(&table, "web-1"), Some(1), "by requests: {by_requests}");
            assert_eq!(share(&table, "web-2"), Some(slow_start::STEPS));
        }
    }

    #[test]
    fn a_weight_can_be_changed() {
        let table = table_with(&["web-1", "web-2"], InitialState::PresumedUp);
        table.set_weight("web-1", 3).unwrap();
        assert_eq!(table.snapshot().pool.order_from(0).collect::<String>().matches("web-1").count(), 3);
        assert!(table.set_weight("web-9", 3).is_none());
    }
}
