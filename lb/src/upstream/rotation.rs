//! Decides which upstreams are in rotation, looking at the whole fleet.
//!
//! A failing upstream is taken out. When most of them seem to fail, a wrong judgement is more
//! likely than a fleet that is really down, and a balancer that trusted its checks would cause the
//! outage itself. So passive checks never eject more than half of the fleet, and when active checks
//! leave too few, the upstreams they ejected are served as well (panic mode, as in Envoy).
//!
//! A refused connection is not a matter of judgement: nothing listens there, so panic mode does not
//! send requests there either.
#![deny(clippy::disallowed_methods)]

use super::breaker;
use super::health::Standing;

/// What the decision depends on, for one upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberView {
    /// True if it gets no new requests.
    pub draining: bool,
    /// The verdict of the active checks.
    pub standing: Standing,
    /// True if the latest check was refused a connection.
    pub refuses: bool,
    /// True if its name has never resolved, so there is nowhere to connect to.
    pub unresolved: bool,
    /// The verdict of the passive checks.
    pub breaker: breaker::State,
}

/// The decision for the whole fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// For each upstream, in the same order: true if it is in rotation.
    pub takes: Vec<bool>,
    /// True if upstreams are served against the verdict of their checks.
    pub panic: bool,
}

impl MemberView {
    fn is_well(&self) -> bool {
        !self.unresolved
            && self.standing == Standing::Up
            && !matches!(self.breaker, breaker::State::Open { .. })
    }

    /// True if it is expected to serve: it is neither draining nor still starting.
    fn counts(&self) -> bool {
        !self.draining && !self.unresolved && self.standing != Standing::Unknown
    }

    fn is_out(&self) -> bool {
        self.standing != Standing::Up || self.breaker != breaker::State::Closed
    }
}

/// Decides which upstreams take requests. Panic mode begins when fewer than `panic_below` per cent
/// are healthy.
pub fn rotation(fleet: &[MemberView], panic_below: u32) -> Rotation {
    let takes: Vec<bool> = fleet.iter().map(|one| !one.draining && one.is_well()).collect();
    let (well, all) = (count(&takes), fleet.iter().filter(|one| one.counts()).count());
    if well * 100 >= all * panic_below as usize {
        return Rotation { takes, panic: false };
    }
    let all_that_accept: Vec<bool> = fleet.iter().map(|one| one.counts() && !one.refuses).collect();
    let panic = count(&all_that_accept) > well;
    let takes = takes.iter().zip(all_that_accept).map(|(well, accepts)| *well || accepts).collect();
    Rotation { takes, panic }
}

/// Returns whether passive checks may eject one more: at most half of the fleet is out.
pub fn may_eject(fleet: &[MemberView]) -> bool {
    let fleet = fleet.iter().filter(|one| one.counts());
    let (all, out) = fleet.fold((0, 0), |(all, out), one| (all + 1, out + usize::from(one.is_out())));
    (out + 1) * 2 <= all
}

fn count(takes: &[bool]) -> usize {
    takes.iter().filter(|takes| **takes).count()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test needs some moment to begin with")]

    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    const WELL: MemberView = MemberView {
        draining: false,
        standing: Standing::Up,
        refuses: false,
        unresolved: false,
        breaker: breaker::State::Closed,
    };
    const NAMELESS: MemberView = MemberView { unresolved: true, ..WELL };
    const FAILING: MemberView = MemberView { standing: Standing::Down, ..WELL };
    const DEAD: MemberView = MemberView { refuses: true, ..FAILING };
    const NEW: MemberView = MemberView { standing: Standing::Unknown, ..WELL };
    const LEAVING: MemberView = MemberView { draining: true, ..WELL };

    fn check(fleet: &[MemberView], takes: &[bool], panic: bool) {
        assert_eq!(rotation(fleet, 50), Rotation { takes: takes.to_vec(), panic }, "{fleet:?}");
    }

    #[test]
    fn who_fails_is_out_and_when_most_fail_all_are_in() {
        check(&[WELL, WELL, FAILING], &[true, true, false], false);
        check(&[WELL, FAILING], &[true, false], false);
        check(&[WELL, FAILING, FAILING], &[true, true, true], true);
        check(&[FAILING, FAILING], &[true, true], true);
        assert_eq!(rotation(&[FAILING], 0), Rotation { takes: vec![false], panic: false }, "switched off");
    }

    #[test]
    fn panic_does_not_raise_the_dead() {
        check(&[DEAD], &[false], false);
        check(&[WELL, DEAD, DEAD, DEAD], &[true, false, false, false], false);
        check(&[WELL, DEAD, FAILING], &[true, false, true], true);
    }

    #[test]
    fn who_is_not_here_yet_or_leaves_is_not_counted() {
        check(&[WELL, NEW, NEW, LEAVING], &[true, false, false, false], false);
        check(&[FAILING, NEW, LEAVING], &[true, false, false], true);
        check(&[WELL, NAMELESS, NAMELESS], &[true, false, false], false);
        check(&[NAMELESS], &[false], false);
    }

    #[test]
    fn requests_take_out_half_at_most() {
        let open = MemberView { breaker: breaker::State::Open { until: Instant::now() }, ..WELL };
        assert!(!may_eject(&[WELL]), "the only one stays");
        assert!(may_eject(&[WELL, WELL]));
        assert!(!may_eject(&[WELL, open]));
        assert!(!may_eject(&[WELL, WELL, DEAD]), "whoever is out already counts");
        assert!(may_eject(&[WELL, WELL, WELL, open]));
    }

    proptest! {
        #[test]
        fn with_anybody_who_accepts_there_is_somebody_to_serve(
            fleet in prop::collection::vec(prop::sample::select(vec![WELL, FAILING, DEAD, NEW, LEAVING, NAMELESS]), 1..12),
            panic_below in 1u32..=100,
        ) {
            let rotation = rotation(&fleet, panic_below);
            let accepts = fleet.iter().any(|one| one.counts() && !one.refuses);
            prop_assert_eq!(rotation.takes.iter().any(|takes| *takes), accepts);
            for (one, takes) in fleet.iter().zip(&rotation.takes) {
                prop_assert!(!takes || one.counts());
            }
        }
    }
}
