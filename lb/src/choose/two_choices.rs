//! Power of two choices: the less busy of two random upstreams. Nearly as even as comparing all of
//! them, and many balancers do not all rush to the same idle upstream (Mitzenmacher, "The Power of
//! Two Choices in Randomized Load Balancing", 2001).
#![deny(clippy::disallowed_methods)]

use std::cmp::Ordering;

use super::Load;

/// Returns the index of the less busy of two different candidates. `dice` are 64 random bits.
pub fn choose(
    dice: u64,
    candidates: usize,
    skip: impl Fn(usize) -> bool,
    load: impl Fn(usize) -> Load,
) -> Option<usize> {
    let left = (0..candidates).filter(|index| !skip(*index)).count();
    let of_those_left = |number: usize| (0..candidates).filter(|index| !skip(*index)).nth(number);
    if left < 2 {
        return of_those_left(0);
    }
    let first = below(dice >> 32, left);
    // One of the others, all equally likely.
    let second = (first + 1 + below(dice & u64::from(u32::MAX), left - 1)) % left;
    let (first, second) = (of_those_left(first)?, of_those_left(second)?);
    let better = if load(second).compare(load(first)) == Ordering::Less { second } else { first };
    Some(better)
}

/// Maps 32 random bits to a number below the limit.
fn below(bits: u64, limit: usize) -> usize {
    usize::try_from((bits * limit as u64) >> 32).expect("less than the limit, which is a usize")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lightest(in_flight: &[u64]) -> impl Fn(usize) -> Load {
        |index| Load { in_flight: in_flight[index], share: 1 }
    }

    proptest! {
        /// The busiest is never chosen, because it loses every comparison.
        #[test]
        fn the_busiest_of_several_is_never_chosen(dice: u64, candidates in 2usize..10) {
            let in_flight: Vec<u64> = (0..candidates as u64).collect();
            let chosen = choose(dice, candidates, |_| false, lightest(&in_flight)).unwrap();
            prop_assert!(chosen < candidates - 1);
        }

        #[test]
        fn whoever_is_skipped_is_never_chosen(dice: u64, skipped in 0usize..3) {
            let chosen = choose(dice, 3, |index| index == skipped, lightest(&[0, 0, 0]));
            prop_assert!(chosen.is_some_and(|chosen| chosen != skipped));
        }
    }

    #[test]
    fn everybody_is_drawn_and_about_as_often() {
        let mut counts = [0u32; 5];
        let mut dice = 1u64;
        for _ in 0..10_000 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            counts[choose(dice, 5, |_| false, lightest(&[0; 5])).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (1_800..2_200).contains(count)), "{counts:?}");
    }

    #[test]
    fn one_or_none() {
        assert_eq!(choose(9, 0, |_| false, lightest(&[])), None);
        assert_eq!(choose(9, 1, |_| false, lightest(&[3])), Some(0));
        assert_eq!(choose(9, 2, |_| true, lightest(&[3, 3])), None);
    }
}
