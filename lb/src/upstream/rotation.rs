//! Who is in rotation: the judgement over the whole fleet.
//!
//! One upstream that fails is taken out. When most of them seem to fail, it is more likely that
//! the judgement is wrong than that nothing works, and a balancer that believed it would take the
//! service down by itself. So requests alone never take out more than half, and when checks leave
//! too few, those that they have taken out are served all the same: that is panic.
//!
//! A connection that is refused is no matter of judgement: nothing listens there, and panic does
//! not bring it back.
#![deny(clippy::disallowed_methods)]

use super::breaker;
use super::health::Standing;

/// What is known of one upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberView {
    /// It is to get no new requests.
    pub draining: bool,
    /// What its checks say.
    pub standing: Standing,
    /// The latest check was refused a connection.
    pub refuses: bool,
    /// Its name has never led anywhere, so nobody can be asked.
    pub unresolved: bool,
    /// What its requests say.
    pub breaker: breaker::State,
}

/// What follows for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// For each upstream, in the same order: whether requests may be sent to it.
    pub takes: Vec<bool>,
    /// True when some are served against their checks.
    pub panic: bool,
}

impl MemberView {
    fn is_well(&self) -> bool {
        !self.unresolved
            && self.standing == Standing::Up
            && !matches!(self.breaker, breaker::State::Open { .. })
    }

    /// One that is expected to serve: neither leaving nor still to arrive.
    fn counts(&self) -> bool {
        !self.draining && !self.unresolved && self.standing != Standing::Unknown
    }

    fn is_out(&self) -> bool {
        self.standing != Standing::Up || self.breaker != breaker::State::Closed
    }
}

/// Who takes requests. There is panic when fewer than `panic_below` per cent are well.
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

/// Whether requests may take out one more: never more than half are out.
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
