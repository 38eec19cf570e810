//! One upstream with all its state.

use std::time::{Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use std::sync::Arc;

use super::Upstream;
use super::breaker::{self, Breaker};
use super::health::{self, Health, Standing};
use super::rotation::MemberView;
use crate::events::{EjectedBy, EventKind};

/// An upstream in the table.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) upstream: Arc<Upstream>,
    pub(super) health: Health,
    pub(super) breaker: Breaker,
    pub(super) weight: u32,
    pub(super) draining: bool,
    /// When it came into rotation; `None` if it has been there from the start.
    pub(super) since: Option<Instant>,
    pub(super) last_check: Option<Check>,
    pub(super) removed: CancellationToken,
}

/// The result of one check.
#[derive(Debug, Clone)]
pub struct Check {
    /// When it ended.
    pub at: SystemTime,
    /// `Ok` if it passed, otherwise what was wrong.
    pub result: Result<(), Fault>,
}

/// Why a check failed.
#[derive(Debug, Clone)]
pub struct Fault {
    /// A description.
    pub detail: String,
    /// The kind of fault.
    pub kind: FaultKind,
}

/// What a failed check says about the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It refused the connection: nothing listens there.
    Refused,
    /// Its name has never resolved: it could not be checked, so this says nothing about it.
    NameUnknown,
    /// It did not answer, or not with a 2xx.
    Other,
}

/// An upstream's state, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It takes requests.
    Up,
    /// Its active checks fail.
    Down,
    /// No check has passed yet.
    Unknown,
    /// Its name has never resolved.
    Unresolved,
    /// Passive checks have ejected it: it waits, or has a trial request in flight.
    Ejected,
    /// It finishes its requests and gets no new ones.
    Draining,
}

/// A state change and its reason, for the event log.
pub(super) type StateChange = Option<(EventKind, String)>;

impl Member {
    pub(super) fn state(&self) -> State {
        match (self.health.standing(), self.breaker.state()) {
            _ if self.draining => State::Draining,
            _ if self.last_fault() == Some(FaultKind::NameUnknown) => State::Unresolved,
            (Standing::Down, _) => State::Down,
            (Standing::Unknown, _) => State::Unknown,
            (Standing::Up, breaker::State::Closed) => State::Up,
            (Standing::Up, breaker::State::Open { .. } | breaker::State::HalfOpen) => State::Ejected,
        }
    }

    pub(super) fn known(&self) -> MemberView {
        let last_fault = self.last_fault();
        MemberView {
            draining: self.draining,
            standing: self.health.standing(),
            refuses: last_fault == Some(FaultKind::Refused),
            unresolved: last_fault == Some(FaultKind::NameUnknown),
            breaker: self.breaker.state(),
        }
    }

    /// The fault that its latest check found, if any.
    fn last_fault(&self) -> Option<FaultKind> {
        Some(self.last_check.as_ref()?.result.as_ref().err()?.kind)
    }

    /// Takes a check's result into account. The change is an event only if passive checks do not
    /// contradict it.
    pub(super) fn judge(&mut self, check: Check, now: Instant) -> StateChange {
        let change = match &check.result {
            Ok(()) => self.health.pass(),
            Err(Fault { kind: FaultKind::NameUnknown, .. }) => None,
            Err(_) => self.health.fail(),
        };
        let closed = self.breaker.state() == breaker::State::Closed;
        let why = check.result.as_ref().err().map(|fault| fault.detail.clone()).unwrap_or_default();
        self.last_check = Some(check);
        match change? {
            health::Change::Ejected { failures } => closed.then(|| {
                self.upstream.count_ejection();
                let reason = format!("{failures} checks in a row failed; the last: {why}");
                (EventKind::Ejected { by: EjectedBy::Checks, failures }, reason)
            }),
            health::Change::Admitted { passes } => {
                if self.breaker.came_back().is_some() {
                    self.upstream.outcomes.begin_trial();
                }
                closed.then(|| {
                    self.since = Some(now);
                    let reason = match passes {
                        1 => "a check passed".to_owned(),
                        _ => format!("{passes} checks in a row passed"),
                    };
                    (EventKind::Admitted, reason)
                })
            }
        }
    }

    /// Takes the outcomes of requests and the current time into account.
    pub(super) fn advance(&mut self, may_eject: bool, now: Instant) -> StateChange {
        let outcomes = &self.upstream.outcomes;
        let before = self.breaker.state();
        let change = self.breaker.observe(outcomes.streak(), may_eject, now)?;
        let is_up = self.health.standing() == Standing::Up;
        match change {
            breaker::Change::Opened { failures, time } => {
                outcomes.begin_anew();
                (is_up && before == breaker::State::Closed).then(|| {
                    self.upstream.count_ejection();
                    let time = humantime::Duration::from(time);
                    let reason = format!("passive: {failures} requests in a row failed; out for {time}");
                    (EventKind::Ejected { by: EjectedBy::Requests, failures }, reason)
                })
            }
            breaker::Change::HalfOpened => {
                outcomes.begin_trial();
                None
            }
            breaker::Change::Closed => {
                outcomes.begin_anew();
                is_up.then(|| {
                    self.since = Some(now);
                    (EventKind::Admitted, "passive: a trial request succeeded".to_owned())
                })
            }
        }
    }
}
