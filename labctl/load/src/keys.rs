//! The distribution of keys over a stream's requests.
#![deny(clippy::disallowed_methods)]

use rand::{Rng, RngExt};

/// The distribution of the keys of a stream's requests. Numbers run from 1 to `count`.
#[derive(Debug, Clone, PartialEq)]
pub enum Keys {
    /// The request has no key.
    None,
    /// Uniform: every number is equally likely.
    Uniform {
        /// The number of keys.
        count: u64,
    },
    /// Zipf: a few are very frequent and most are rare; the n-th in proportion to 1 / n^exponent.
    Zipf {
        /// The number of keys, at most [`Keys::ZIPF_MAX`].
        count: u64,
        /// The skew: 0 is uniform, 1 is typical of shops and encyclopedias.
        exponent: f64,
    },
    /// Each of these words, equally likely. Session cookies, for instance: a virtual user is a key.
    Hot {
        /// The words.
        keys: Vec<String>,
    },
    /// 1, 2, 3, … and from 1 again after the last.
    Sequence {
        /// The number of keys.
        count: u64,
    },
}

impl Keys {
    /// The largest `count` of [`Keys::Zipf`], which keeps a table of all of them.
    pub const ZIPF_MAX: u64 = 1_000_000;

    /// Checks the distribution; the error is one sentence.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Keys::None => Ok(()),
            Keys::Uniform { count: 0 } | Keys::Zipf { count: 0, .. } | Keys::Sequence { count: 0 } => {
                Err("the count of keys must be at least 1".into())
            }
            Keys::Hot { keys } if keys.is_empty() => Err("the list of hot keys is empty".into()),
            Keys::Zipf { count, .. } if *count > Self::ZIPF_MAX => {
                Err(format!("the count of Zipf keys is {count}; at most {} are possible", Self::ZIPF_MAX))
            }
            Keys::Zipf { exponent, .. } if !(0.0..=10.0).contains(exponent) => {
                Err(format!("the Zipf exponent is {exponent}; it must be from 0 to 10"))
            }
            _ => Ok(()),
        }
    }
}

/// Draws keys from [`Keys`] that were checked.
#[derive(Debug)]
pub(super) struct Picker {
    keys: Keys,
    /// Zipf's cumulative weights.
    cumulative: Vec<f64>,
    taken: u64,
}

impl Picker {
    pub(super) fn new(keys: Keys) -> Self {
        let cumulative = match keys {
            Keys::Zipf { count, exponent } => (1..=count)
                .scan(0.0, |sum, n| {
                    *sum += (n as f64).powf(-exponent);
                    Some(*sum)
                })
                .collect(),
            _ => Vec::new(),
        };
        Self { keys, cumulative, taken: 0 }
    }

    /// Draws the next key.
    pub(super) fn pick(&mut self, dice: &mut impl Rng) -> String {
        match &self.keys {
            Keys::None => String::new(),
            Keys::Uniform { count } => dice.random_range(1..=*count).to_string(),
            Keys::Zipf { .. } => self.zipf(dice).to_string(),
            Keys::Hot { keys } => keys[dice.random_range(0..keys.len())].clone(),
            Keys::Sequence { count } => {
                let number = self.taken % count + 1;
                self.taken += 1;
                number.to_string()
            }
        }
    }

    fn zipf(&self, dice: &mut impl Rng) -> usize {
        let total = self.cumulative.last().expect("the count of keys was checked to be at least 1");
        let point = dice.random::<f64>() * total;
        let below = self.cumulative.partition_point(|sum| *sum <= point);
        // Rounding may put the point at the very end.
        below.min(self.cumulative.len() - 1) + 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn draw(keys: Keys, times: usize) -> BTreeMap<String, usize> {
        keys.check().unwrap();
        let (mut picker, mut dice) = (Picker::new(keys), ChaCha8Rng::seed_from_u64(1));
        let mut counts = BTreeMap::new();
        (0..times).for_each(|_| *counts.entry(picker.pick(&mut dice)).or_default() += 1);
        counts
    }

    #[test]
    fn uniform_draws_every_number_about_as_often() {
        let counts = draw(Keys::Uniform { count: 10 }, 100_000);
        assert_eq!(counts.len(), 10);
        assert!(counts.values().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn zipf_draws_the_first_twice_as_often_as_the_second() {
        let counts = draw(Keys::Zipf { count: 1_000, exponent: 1.0 }, 200_000);
        let ratio = counts["1"] as f64 / counts["2"] as f64;
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
        // The harmonic number of 1 000 is 7.49.
        assert!((counts["1"] as f64 / 200_000.0 - 1.0 / 7.49).abs() < 0.005);
    }

    #[test]
    fn zipf_with_exponent_zero_is_uniform() {
        let counts = draw(Keys::Zipf { count: 4, exponent: 0.0 }, 40_000);
        assert!(counts.values().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn hot_keys_are_the_words_given() {
        let counts = draw(Keys::Hot { keys: vec!["a".into(), "b".into()] }, 1_000);
        assert_eq!(counts.keys().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_sequence_starts_again() {
        let (mut picker, mut dice) = (Picker::new(Keys::Sequence { count: 3 }), ChaCha8Rng::seed_from_u64(1));
        let drawn: Vec<String> = (0..5).map(|_| picker.pick(&mut dice)).collect();
        assert_eq!(drawn, ["1", "2", "3", "1", "2"]);
    }

    #[test]
    fn what_cannot_be_drawn_from_is_refused() {
        assert!(Keys::Uniform { count: 0 }.check().is_err());
        assert!(Keys::Hot { keys: vec![] }.check().is_err());
        assert!(Keys::Zipf { count: 5, exponent: f64::NAN }.check().is_err());
        assert!(Keys::Zipf { count: Keys::ZIPF_MAX + 1, exponent: 1.0 }.check().is_err());
    }
}
