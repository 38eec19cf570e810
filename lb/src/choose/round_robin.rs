//! Exact round robin: 1, 2, 3, 1, 2, 3, …, across all threads.
#![deny(clippy::disallowed_methods)]

use std::sync::atomic::{AtomicU64, Ordering};

/// The turns taken so far. One counter is shared by all threads, so the rotation is exact over all
/// of them together: while the set of upstreams does not change, no two of them differ by more than
/// one request. A change of the set only moves the point at which the rotation continues.
// Alone on its cache line, because every request writes to it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct RoundRobin {
    turns: AtomicU64,
}

impl RoundRobin {
    /// Takes a turn, and returns the index whose turn it is, passing over those that `skip`
    /// rejects; `None` if all are rejected.
    pub fn next(&self, turns: &[u32], skip: impl Fn(usize) -> bool) -> Option<usize> {
        at(self.take_turn(), turns, skip)
    }

    /// Takes a turn, and returns its number.
    pub fn take_turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    /// The turns taken so far.
    pub fn turns_taken(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }
}

/// Returns the index that has the turn of this number. One that is skipped loses its turn to the
/// next in order.
pub fn at(turn: u64, turns: &[u32], skip: impl Fn(usize) -> bool) -> Option<usize> {
    from(turn, turns).find(|index| !skip(*index))
}

/// Iterates over all in the order of their turns, starting with this turn.
pub fn from(turn: u64, turns: &[u32]) -> impl Iterator<Item = usize> {
    let first = turn.checked_rem(turns.len() as u64).unwrap_or_default();
    let first = usize::try_from(first).expect("less than the number of turns, which is a usize");
    let (before, after) = turns.split_at(first);
    after.iter().chain(before).map(|index| *index as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn nobody(_: usize) -> bool {
        false
    }

    #[test]
    fn whoever_is_skipped_loses_the_turn_to_the_next() {
        let rotation = RoundRobin::default();
        let turns: Vec<_> = (0..6).filter_map(|_| rotation.next(&[0, 1, 2], |index| index == 1)).collect();
        assert_eq!(turns, [0, 2, 2, 0, 2, 2]);
        assert_eq!(rotation.next(&[0, 1, 2], |_| true), None);
    }

    #[test]
    fn three_servers_take_turns() {
        let rotation = RoundRobin::default();
        let turns: Vec<_> = (0..7).filter_map(|_| rotation.next(&[0, 1, 2], nobody)).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn nobody_is_chosen_among_none() {
        assert_eq!(RoundRobin::default().next(&[], nobody), None);
    }

    #[test]
    fn many_threads_share_one_exact_rotation() {
        let rotation = RoundRobin::default();
        let count = |_| (0..1000).filter_map(|_| rotation.next(&[0, 1, 2], nobody)).fold([0; 3], add);
        let total = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || count(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).fold([0; 3], |mut total, part| {
                (0..3).for_each(|index| total[index] += part[index]);
                total
            })
        });
        assert_eq!(total.iter().sum::<u64>(), 8000);
        assert!(total.iter().max().unwrap() - total.iter().min().unwrap() <= 1, "{total:?}");
    }

    fn add(mut counts: [u64; 3], index: usize) -> [u64; 3] {
        counts[index] += 1;
        counts
    }

    proptest! {
        /// Each stretch without a change is exact, so upstreams that were present all the time
        /// differ by at most one for each stretch.
        #[test]
        fn stays_fair_while_members_come_and_go(
            stretches in prop::collection::vec((prop::collection::btree_set(0u8..6, 1..6), 1usize..40), 1..12)
        ) {
            let rotation = RoundRobin::default();
            let mut total: BTreeMap<u8, u64> = BTreeMap::new();
            for (members, requests) in &stretches {
                let members: Vec<u8> = members.iter().copied().collect();
                let turns: Vec<u32> = (0..members.len() as u32).collect();
                let mut counts = vec![0u64; members.len()];
                for _ in 0..*requests {
                    counts[rotation.next(&turns, nobody).unwrap()] += 1;
                }
                prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
                for (member, count) in members.iter().zip(counts) {
                    *total.entry(*member).or_default() += count;
                }
            }
            let always = |member: &u8| stretches.iter().all(|(members, _)| members.contains(member));
            let loyal: Vec<u64> = total.iter().filter(|(member, _)| always(member)).map(|(_, n)| *n).collect();
            if let (Some(most), Some(least)) = (loyal.iter().max(), loyal.iter().min()) {
                prop_assert!(most - least <= stretches.len() as u64);
            }
        }
    }
}
