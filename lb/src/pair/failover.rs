//! The failover state machine: decides which balancer of a pair is active.
//!
//! ```text
//!             silence                 no objection           has the address
//!   Standby ───────────▶ Claiming ───────────────────▶ (take) ───────────────▶ Active
//!      ▲  ▲                 │                            │  ▲                    │ │
//!      │  └─ the other is ──┘            cannot take it  ▼  │ again              │ │ asked to leave
//!      │     there or stronger                         Blocked                   │ ▼
//!      └───────── lost its lease, or meets a stronger one ───────────────────────┘ Yielding ─▶ Gone
//! ```
//!
//! The silence after which the peer counts as dead is that of RFC 9568: three adverts and a skew. That
//! standard leaves it to chance what happens when both wake up together; here a claim settles it: a
//! balancer that wants the address says so, and waits a moment for an objection.
//!
//! The active balancer holds a lease, which each advert renews and which ends before the peer can
//! consider it dead. A balancer that was frozen finds its lease expired before it does anything else.
#![deny(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use super::advert::{Advert, AdvertKind};

/// Adverts that must be missed before the peer counts as dead.
const MISSED_MAX: u32 = 3;

/// The roles of a balancer in its pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It listens for its peer's adverts.
    Standby,
    /// It has heard nothing for long enough, and has announced that it wants the address.
    Claiming,
    /// It wants the address and cannot take it, because a silent process holds it.
    Blocked,
    /// It holds the address.
    Active,
    /// It accepts no more connections, and waits until its peer has the address.
    Yielding,
    /// It has left.
    Gone,
}

/// The parameters of a balancer in its pair.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Its id, which differs from its peer's.
    pub id: String,
    /// The higher one wins if both want the address: 1 to 254.
    pub priority: u8,
    /// The time between two adverts.
    pub advert: Duration,
}

/// An input of the state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The peer sent this advert.
    Heard(Advert),
    /// The address was taken, as requested.
    Taken,
    /// The address could not be taken.
    NotTaken,
    /// The kernel no longer keeps the address on this machine.
    AddressLost,
    /// This process must stop.
    Leave,
}

/// An effect to carry out, in the order returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Send an advert of this kind to the peer.
    Say(AdvertKind),
    /// Take the address, and report whether that worked.
    Take(TakeoverMode),
    /// Accept no more connections; open ones are still served.
    Pause,
    /// Give the address back.
    Release(ReleaseReason),
}

/// How the address is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeoverMode {
    /// From no other process: if one still holds it, taking it fails.
    Alone,
    /// From the peer, which still holds it and releases it once this balancer has it.
    HandedOver,
}

/// Why the address is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseReason {
    /// The process was frozen for so long that the peer may have the address: no more responses may be
    /// sent.
    LeaseLost,
    /// The peer outranks this balancer and holds the address too: no more responses may be sent.
    Outranked,
    /// The process was frozen while it took the address: no responses may be sent.
    TooLate,
    /// The kernel no longer keeps the address here: no responses can be sent.
    AddressLost,
    /// The peer has taken over: open connections are still served.
    HandedOver,
    /// No peer is ready to take over: open connections are still served.
    Leaving,
}

impl ReleaseReason {
    /// True if the address was given up in agreement, so that open connections may still be served.
    pub fn is_orderly(self) -> bool {
        matches!(self, Self::HandedOver | Self::Leaving)
    }
}

/// The state machine of one balancer.
#[derive(Debug)]
pub struct Failover {
    rules: Rules,
    role: Role,
    /// The time of the latest call; a long gap means that the process was frozen and has missed
    /// something.
    seen: Instant,
    /// When the current role times out: the peer counts as dead, the claim is won, the next attempt is
    /// due, or the peer fails to take over.
    until: Instant,
    /// When the next advert is due.
    advert_at: Instant,
    lease_until: Instant,
    /// Until then, an offer of the address may be a stale one, made while this process was frozen.
    distrusts_until: Instant,
    /// When the peer was last heard standing by.
    partner_ready: Option<Instant>,
}

impl Failover {
    /// Creates a balancer that has just started, and listens first.
    pub fn new(rules: Rules, now: Instant) -> Self {
        let until = now + rules.silence_max();
        Self {
            rules,
            role: Role::Standby,
            seen: now,
            until,
            advert_at: now,
            lease_until: now,
            distrusts_until: now,
            partner_ready: None,
        }
    }

    /// The current role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Until when this balancer may answer without another step; `None` if it may not.
    pub fn lease(&self) -> Option<Instant> {
        matches!(self.role, Role::Active | Role::Yielding).then_some(self.lease_until)
    }

    /// Handles an input, and returns the effects to carry out.
    pub fn step(&mut self, now: Instant, input: Input) -> Vec<Effect> {
        let mut effects = self.notice_absence(now);
        self.seen = now;
        match input {
            Input::Tick => self.tick(now, &mut effects),
            Input::Heard(advert) => self.on_advert(now, &advert, &mut effects),
            Input::Taken if matches!(self.role, Role::Claiming | Role::Blocked) => {
                self.role = Role::Active;
                self.advertise(now, AdvertKind::Active, &mut effects);
            }
            Input::Taken => effects.push(Effect::Release(ReleaseReason::TooLate)),
            Input::NotTaken if matches!(self.role, Role::Claiming | Role::Blocked) => {
                self.role = Role::Blocked;
                self.until = now + self.rules.moment();
            }
            Input::NotTaken => {}
            Input::AddressLost if matches!(self.role, Role::Active | Role::Yielding) => {
                self.stand_by(now);
                effects.push(Effect::Release(ReleaseReason::AddressLost));
            }
            Input::AddressLost => {}
            Input::Leave => self.leave(now, &mut effects),
        }
        effects
    }

    /// A process that was frozen does not know what it missed, so this check precedes every input.
    fn notice_absence(&mut self, now: Instant) -> Vec<Effect> {
        match self.role {
            Role::Active | Role::Yielding if now >= self.lease_until => {
                self.return_to_standby(now);
                vec![Effect::Release(ReleaseReason::LeaseLost)]
            }
            Role::Standby | Role::Claiming | Role::Blocked if now >= self.seen + self.rules.lease() => {
                self.return_to_standby(now);
                vec![]
            }
            _ => vec![],
        }
    }

    fn tick(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        match self.role {
            Role::Standby if now >= self.until => self.claim(now, effects),
            Role::Claiming | Role::Blocked if now >= self.until => {
                // In case the result is never reported.
                self.until = now + self.rules.moment();
                effects.push(Effect::Take(TakeoverMode::Alone));
            }
            Role::Yielding if now >= self.until => {
                self.role = Role::Gone;
                effects.extend([Effect::Release(ReleaseReason::Leaving), Effect::Say(AdvertKind::Gone)]);
            }
            Role::Active if now >= self.advert_at => self.advertise(now, AdvertKind::Active, effects),
            Role::Yielding if now >= self.advert_at => self.advertise(now, AdvertKind::Yield, effects),
            Role::Standby if now >= self.advert_at => self.advertise(now, AdvertKind::Standby, effects),
            _ => {}
        }
    }

    fn on_advert(&mut self, now: Instant, advert: &Advert, effects: &mut Vec<Effect>) {
        self.partner_ready = (advert.saying == AdvertKind::Standby).then_some(now);
        let is_stronger = (advert.priority, &advert.id) > (self.rules.priority, &self.rules.id);
        match (self.role, advert.saying) {
            (Role::Gone, _) | (_, AdvertKind::Standby) => {}
            (_, AdvertKind::Yield | AdvertKind::Gone) if now < self.distrusts_until => {}
            (Role::Standby | Role::Claiming | Role::Blocked, AdvertKind::Active) => self.stand_by(now),
            (Role::Standby, AdvertKind::Claim) => self.stand_by(now),
            (Role::Claiming, AdvertKind::Claim) if is_stronger => self.stand_by(now),
            (Role::Claiming, AdvertKind::Claim) => effects.push(Effect::Say(AdvertKind::Claim)),
            (Role::Blocked, AdvertKind::Claim) => {}
            (Role::Standby | Role::Claiming | Role::Blocked, AdvertKind::Yield) => {
                self.take(now, TakeoverMode::HandedOver, effects);
            }
            (Role::Standby | Role::Claiming | Role::Blocked, AdvertKind::Gone) => {
                self.take(now, TakeoverMode::Alone, effects);
            }
            (Role::Active, AdvertKind::Active) if is_stronger => {
                self.stand_by(now);
                effects.push(Effect::Release(ReleaseReason::Outranked));
            }
            (Role::Active, AdvertKind::Active | AdvertKind::Claim | AdvertKind::Yield) => {
                self.advertise(now, AdvertKind::Active, effects);
            }
            (Role::Active, AdvertKind::Gone) => {}
            (Role::Yielding, AdvertKind::Active) => {
                self.role = Role::Gone;
                effects.push(Effect::Release(ReleaseReason::HandedOver));
            }
            (Role::Yielding, AdvertKind::Claim) => self.advertise(now, AdvertKind::Yield, effects),
            (Role::Yielding, AdvertKind::Yield | AdvertKind::Gone) => {}
        }
    }

    fn leave(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let ready = self.partner_ready.is_some_and(|heard| now < heard + self.rules.lease());
        match self.role {
            Role::Active if ready => {
                self.role = Role::Yielding;
                self.until = now + self.rules.lease();
                effects.push(Effect::Pause);
                self.advertise(now, AdvertKind::Yield, effects);
            }
            Role::Active => {
                self.role = Role::Gone;
                effects.extend([Effect::Release(ReleaseReason::Leaving), Effect::Say(AdvertKind::Gone)]);
            }
            Role::Yielding => {}
            Role::Standby | Role::Claiming | Role::Blocked | Role::Gone => self.role = Role::Gone,
        }
    }

    fn stand_by(&mut self, now: Instant) {
        self.role = Role::Standby;
        self.until = now + self.rules.silence_max();
    }

    fn return_to_standby(&mut self, now: Instant) {
        self.stand_by(now);
        self.distrusts_until = now + self.rules.advert;
    }

    fn claim(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.role = Role::Claiming;
        self.until = now + self.rules.moment();
        effects.push(Effect::Say(AdvertKind::Claim));
    }

    fn take(&mut self, now: Instant, mode: TakeoverMode, effects: &mut Vec<Effect>) {
        self.role = Role::Claiming;
        self.until = now + self.rules.moment();
        effects.push(Effect::Take(mode));
    }

    fn advertise(&mut self, now: Instant, saying: AdvertKind, effects: &mut Vec<Effect>) {
        effects.push(Effect::Say(saying));
        match saying {
            AdvertKind::Active => {
                self.advert_at = now + self.rules.advert;
                self.lease_until = now + self.rules.lease();
            }
            AdvertKind::Yield => {
                self.advert_at = now + self.rules.moment();
                self.lease_until = now + self.rules.lease();
            }
            _ => self.advert_at = now + self.rules.advert,
        }
    }
}

impl Rules {
    /// The silence after which the peer counts as dead: RFC 9568, 6.1 (Active_Down_Interval).
    pub fn silence_max(&self) -> Duration {
        let skew = self.advert * (256 - u32::from(self.priority)) / 256;
        self.advert * MISSED_MAX + skew
    }

    /// How long an advert entitles its sender to answer: less than [`silence_max`](Self::silence_max).
    fn lease(&self) -> Duration {
        self.advert * MISSED_MAX
    }

    /// How long a claim waits for an objection, and the time between two attempts.
    fn moment(&self) -> Duration {
        self.advert / 4
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test needs some moment to begin with")]

    use super::*;

    const ADVERT: Duration = Duration::from_millis(200);

    fn failover(start: Instant) -> Failover {
        Failover::new(Rules { id: "a".into(), priority: 100, advert: ADVERT }, start)
    }

    fn says(saying: AdvertKind, priority: u8) -> Input {
        Input::Heard(Advert { saying, priority, id: "b".into() })
    }

    /// Ticks until there is an effect, and returns when that was.
    fn until_something(failover: &mut Failover, mut now: Instant) -> (Instant, Vec<Effect>) {
        for _ in 0..1000 {
            now += Duration::from_millis(5);
            let mut effects = failover.step(now, Input::Tick);
            effects.retain(|effect| *effect != Effect::Say(AdvertKind::Standby));
            if !effects.is_empty() {
                return (now, effects);
            }
        }
        panic!("nothing happens");
    }

    fn active(start: Instant) -> (Failover, Instant) {
        let mut failover = failover(start);
        let (claimed, _) = until_something(&mut failover, start);
        let (taken, _) = until_something(&mut failover, claimed);
        failover.step(taken, Input::Taken);
        assert_eq!(failover.role(), Role::Active);
        (failover, taken)
    }

    #[test]
    fn silence_makes_a_claim_and_a_claim_without_objection_takes() {
        let start = Instant::now();
        let mut failover = failover(start);
        let (claimed, effects) = until_something(&mut failover, start);
        assert_eq!(effects, [Effect::Say(AdvertKind::Claim)]);
        let skew = ADVERT * 156 / 256;
        let waited = claimed - start;
        assert!(waited >= 3 * ADVERT + skew && waited <= 3 * ADVERT + skew + Duration::from_millis(5));
        let (taken, effects) = until_something(&mut failover, claimed);
        assert_eq!((taken - claimed, effects), (ADVERT / 4, vec![Effect::Take(TakeoverMode::Alone)]));
        assert_eq!(failover.lease(), None, "not before it has the address");
        assert_eq!(failover.step(taken, Input::Taken), [Effect::Say(AdvertKind::Active)]);
        assert_eq!(failover.lease(), Some(taken + 3 * ADVERT));
    }

    #[test]
    fn whoever_hears_the_other_stands_by_whatever_its_own_priority() {
        let start = Instant::now();
        let mut failover = failover(start);
        let mut now = start;
        for _ in 0..100 {
            now += ADVERT;
            assert_eq!(failover.step(now, says(AdvertKind::Active, 1)), []);
            assert_eq!(failover.role(), Role::Standby);
        }
    }

    #[test]
    fn one_that_loses_its_address_lets_the_other_one_have_it() {
        let (mut failover, now) = active(Instant::now());
        assert_eq!(failover.step(now, Input::AddressLost), [Effect::Release(ReleaseReason::AddressLost)]);
        assert_eq!((failover.role(), failover.lease()), (Role::Standby, None));
        assert_eq!(failover.step(now, Input::AddressLost), [], "once");
    }

    #[test]
    fn of_two_claims_the_stronger_wins_and_the_weaker_stands_by() {
        for (priority, role) in [(101, Role::Standby), (99, Role::Claiming)] {
            let mut failover = failover(Instant::now());
            let (now, _) = until_something(&mut failover, Instant::now());
            failover.step(now, says(AdvertKind::Claim, priority));
            assert_eq!(failover.role(), role, "{priority}");
        }
    }

    #[test]
    fn one_that_was_frozen_gives_the_address_back_whatever_it_hears_first() {
        let lost = Effect::Release(ReleaseReason::LeaseLost);
        for first in [Input::Tick, says(AdvertKind::Active, 1), says(AdvertKind::Claim, 1), Input::Leave] {
            let (mut failover, now) = active(Instant::now());
            let effects = failover.step(now + 3 * ADVERT, first.clone());
            assert_eq!(effects.first(), Some(&lost), "{first:?}");
            assert!(failover.lease().is_none() && !effects.contains(&Effect::Say(AdvertKind::Active)));
        }
    }

    #[test]
    fn a_standby_that_was_frozen_listens_anew() {
        let start = Instant::now();
        let mut failover = failover(start);
        assert_eq!(failover.step(start + 100 * ADVERT, Input::Tick), [Effect::Say(AdvertKind::Standby)]);
        assert_eq!(failover.role(), Role::Standby);
    }

    #[test]
    fn an_offer_from_before_an_absence_is_not_taken_up() {
        let start = Instant::now();
        let mut failover = failover(start);
        let back = start + 100 * ADVERT;
        assert_eq!(failover.step(back, says(AdvertKind::Gone, 90)), []);
        assert_eq!(failover.step(back, says(AdvertKind::Yield, 90)), []);
        let later = failover.step(back + ADVERT, says(AdvertKind::Yield, 90));
        assert_eq!(later, [Effect::Take(TakeoverMode::HandedOver)], "it is made again");
    }

    #[test]
    fn an_address_that_somebody_holds_is_tried_again_until_it_can_be_had() {
        let start = Instant::now();
        let mut failover = failover(start);
        let (claimed, _) = until_something(&mut failover, start);
        let (mut now, _) = until_something(&mut failover, claimed);
        for _ in 0..3 {
            assert_eq!(failover.step(now, Input::NotTaken), []);
            assert_eq!(failover.role(), Role::Blocked);
            let (next, effects) = until_something(&mut failover, now);
            assert_eq!((next - now, effects), (ADVERT / 4, vec![Effect::Take(TakeoverMode::Alone)]));
            now = next;
        }
        failover.step(now, Input::Taken);
        assert_eq!(failover.role(), Role::Active);
    }

    #[test]
    fn an_address_that_was_taken_during_an_absence_is_given_back() {
        let start = Instant::now();
        let mut failover = failover(start);
        let (claimed, _) = until_something(&mut failover, start);
        let (now, _) = until_something(&mut failover, claimed);
        assert_eq!(failover.step(now + 10 * ADVERT, Input::Taken), [Effect::Release(ReleaseReason::TooLate)]);
    }

    #[test]
    fn of_two_active_ones_the_weaker_gives_up_and_the_stronger_says_so() {
        let (mut weak, now) = active(Instant::now());
        assert_eq!(
            weak.step(now, says(AdvertKind::Active, 101)),
            [Effect::Release(ReleaseReason::Outranked)]
        );
        let (mut strong, now) = active(Instant::now());
        assert_eq!(strong.step(now, says(AdvertKind::Active, 99)), [Effect::Say(AdvertKind::Active)]);
        assert_eq!(strong.role(), Role::Active);
    }

    #[test]
    fn one_that_leaves_hands_over_when_somebody_stands_by() {
        let (mut failover, now) = active(Instant::now());
        failover.step(now, says(AdvertKind::Standby, 90));
        assert_eq!(failover.step(now, Input::Leave), [Effect::Pause, Effect::Say(AdvertKind::Yield)]);
        assert_eq!(
            failover.step(now, says(AdvertKind::Active, 90)),
            [Effect::Release(ReleaseReason::HandedOver)]
        );
        assert_eq!(failover.role(), Role::Gone);
    }

    #[test]
    fn one_that_leaves_alone_just_leaves() {
        let (mut failover, now) = active(Instant::now());
        let leaves = [Effect::Release(ReleaseReason::Leaving), Effect::Say(AdvertKind::Gone)];
        assert_eq!(failover.step(now, Input::Leave), leaves);
        let (mut failover, now) = active(Instant::now());
        failover.step(now, says(AdvertKind::Standby, 90));
        failover.step(now, Input::Leave);
        let mut effects = vec![];
        let mut now = now;
        while failover.role() != Role::Gone {
            (now, effects) = until_something(&mut failover, now);
        }
        assert_eq!(effects, leaves, "the other one did not take over after all");
    }

    #[test]
    fn one_that_is_handed_the_address_takes_it_at_once() {
        for (saying, mode) in
            [(AdvertKind::Yield, TakeoverMode::HandedOver), (AdvertKind::Gone, TakeoverMode::Alone)]
        {
            let mut failover = failover(Instant::now());
            assert_eq!(failover.step(Instant::now(), says(saying, 100)), [Effect::Take(mode)]);
        }
    }
}
