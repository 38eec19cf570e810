//! The order of turns for weighted upstreams: smooth weighted round robin, as in nginx. In each
//! turn every upstream gains its weight; the one with the most takes the turn, and pays the sum of
//! all weights. So 5, 1, 1 is not `a a a a a b c` but `a a b a c a a`.
//!
//! The order is periodic, so it is computed once, when weights change, and a request only looks up
//! its position. With equal weights it is plain rotation.
#![deny(clippy::disallowed_methods)]

/// Returns the order of turns for these weights, as indices. A weight of 0 gets no turn.
pub fn rotation(weights: &[u32]) -> Vec<u32> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0i64; weights.len()];
    let mut turns = Vec::new();
    for _ in 0..total {
        let mut richest = 0;
        for (index, weight) in weights.iter().enumerate() {
            credit[index] += weight;
            if credit[index] > credit[richest] {
                richest = index;
            }
        }
        credit[richest] -= total;
        turns.push(u32::try_from(richest).expect("far fewer upstreams than that"));
    }
    turns
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_in_nginx_itself() {
        assert_eq!(rotation(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn equal_weights_are_plain_rotation() {
        assert_eq!(rotation(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(rotation(&[70, 70]), [0, 1]);
        assert!(rotation(&[]).is_empty());
        assert_eq!(rotation(&[0, 2]), [1]);
    }

    proptest! {
        /// Each has its exact share of a round. Within the round, none is ever ahead or behind by
        /// as much as one turn for each of the others, which is far less than a burst.
        #[test]
        fn everybody_has_its_share_and_nobody_waits_long(weights in prop::collection::vec(1u32..20, 1..8)) {
            let turns = rotation(&weights);
            let total: u32 = weights.iter().sum();
            let round = turns.len() as f64;
            for (index, weight) in weights.iter().enumerate() {
                let mut taken = 0.0;
                for (turn, who) in turns.iter().enumerate() {
                    taken += f64::from(*who as usize == index);
                    let due = (turn + 1) as f64 * f64::from(*weight) / f64::from(total);
                    prop_assert!((taken - due).abs() < weights.len() as f64, "{:?}: {:?}", weights, turns);
                }
                prop_assert_eq!(taken, round * f64::from(*weight) / f64::from(total));
            }
        }
    }
}
