//! Least connections: the upstream with the fewest requests in flight relative to its share. Ties
//! are broken by rotation, so an idle fleet is served in turn.
//!
//! The count is not a reservation: two threads that look at the same moment may choose the same
//! upstream. It is then one request ahead, which the next choice evens out.
#![deny(clippy::disallowed_methods)]

use std::cmp::Ordering;

use super::{Load, round_robin};

/// Returns the index of the least busy upstream, starting the search at the one whose turn it is.
pub fn choose(
    turn: u64,
    turns: &[u32],
    skip: impl Fn(usize) -> bool,
    load: impl Fn(usize) -> Load,
) -> Option<usize> {
    let mut best: Option<(usize, Load)> = None;
    for index in round_robin::from(turn, turns).filter(|index| !skip(*index)) {
        let load = load(index);
        if best.is_none_or(|(_, least)| load.compare(least) == Ordering::Less) {
            best = Some((index, load));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(in_flight: &[u64], turn: u64) -> Option<usize> {
        let turns: Vec<u32> = (0..in_flight.len() as u32).collect();
        choose(turn, &turns, |_| false, |index| Load { in_flight: in_flight[index], share: 1 })
    }

    #[test]
    fn equals_take_turns() {
        let chosen: Vec<_> = (0..6).filter_map(|turn| of(&[4, 4, 4], turn)).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
        assert_eq!(of(&[], 5), None);
    }

    proptest! {
        #[test]
        fn nobody_is_less_busy_than_the_chosen_one(
            in_flight in prop::collection::vec(0u64..20, 1..10), turn: u64,
        ) {
            let chosen = of(&in_flight, turn).unwrap();
            prop_assert_eq!(Some(&in_flight[chosen]), in_flight.iter().min());
        }
    }
}
