//! Claims: a sentence, a measure, and its bounds.
//!
//! A claim that quotes the article tests the article's sentence. Some of those are expected to be refuted;
//! then the claim holds if the measurement refutes the sentence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Reading, Spanned};

/// A claim as written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// The claim, as a sentence.
    pub claim: String,
    /// A stable id by which others refer to the claim, as `labctl claims` does. It stays as long as the
    /// meaning does.
    pub id: Option<String>,
    /// The question for predictions (`labctl run --predict`), whose answer is the figure.
    pub ask: Option<String>,
    /// The article's words, if the claim tests them.
    pub article: Option<String>,
    /// The source of a claim that is not the article's: who says so, or where it happened.
    pub source: Option<String>,
    /// The measure: an expression over the steps' measurements.
    pub measure: Spanned<String>,
    /// The unit the figure is shown in.
    #[serde(default)]
    pub unit: String,
    /// The measured figure must be at least this.
    pub at_least: Option<f64>,
    /// The measured figure must be at most this.
    pub at_most: Option<f64>,
    /// The measured figure must be this.
    pub equals: Option<f64>,
    /// Whether the lab expects the sentence to be confirmed or refuted.
    #[serde(default)]
    pub expected: Expected,
    /// Why, in a sentence, if it is not obvious.
    pub because: Option<String>,
    /// The differences if machines are containers.
    pub in_containers: Option<InContainers>,
}

/// The lab's expectation of a sentence if machines are containers.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InContainers {
    /// Whether the sentence is confirmed or refuted there. Without it the claim is not made there.
    pub expected: Option<Expected>,
    /// The explanation that is printed below the verdict.
    pub because: String,
}

/// The lab's expectation of a sentence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// The measurement confirms it.
    #[default]
    Confirm,
    /// The measurement refutes it.
    Refute,
}

/// The bounds of a claim. An open bound is infinite, and absent in JSON, which has no infinity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "StoredBound")]
pub struct Bound {
    /// The lower bound, inclusive.
    #[schemars(with = "Option<f64>")]
    pub low: f64,
    /// The upper bound, inclusive.
    #[schemars(with = "Option<f64>")]
    pub high: f64,
}

#[derive(Deserialize, JsonSchema)]
struct StoredBound {
    low: Option<f64>,
    high: Option<f64>,
}

impl From<StoredBound> for Bound {
    fn from(StoredBound { low, high }: StoredBound) -> Self {
        Self { low: low.unwrap_or(f64::NEG_INFINITY), high: high.unwrap_or(f64::INFINITY) }
    }
}

impl Expect {
    /// The claim as made with containers. `None` if it is not made there.
    pub fn in_containers(&self) -> Option<Self> {
        let mut expect = self.clone();
        if let Some(InContainers { expected, because }) = &self.in_containers {
            expect.expected = (*expected)?;
            expect.because = Some(because.clone());
        }
        Some(expect)
    }

    /// The bounds, or what is wrong with them.
    pub fn bound(&self) -> Result<Bound, String> {
        match (self.equals, self.at_least, self.at_most) {
            (Some(value), None, None) => Ok(Bound { low: value, high: value }),
            (None, None, None) => Err("a claim needs one of equals, at-least, at-most".into()),
            (Some(_), _, _) => Err("equals stands alone, without at-least or at-most".into()),
            (None, low, high) => {
                let bound = Bound::from(StoredBound { low, high });
                if bound.low > bound.high { Err("at-least is above at-most".into()) } else { Ok(bound) }
            }
        }
    }
}

impl Bound {
    /// True if a figure is within the bounds. NaN never is.
    pub fn holds(self, figure: f64) -> bool {
        // A sum of measured parts may miss a whole number by rounding.
        const ROUNDING: f64 = 1e-9;
        figure >= self.low - ROUNDING && figure <= self.high + ROUNDING
    }

    /// Judges a reading with its uncertainty. `None` if the true figure may be inside or outside of the
    /// bounds.
    pub fn judge(self, reading: Reading) -> Option<bool> {
        let Reading { figure, low, high } = reading;
        let ends = [figure, low, high].map(|end| self.holds(end));
        match ends {
            [true, true, true] => Some(true),
            // The whole interval is on one side of the bounds.
            [false, false, false] if low > self.high || high < self.low || low == high || figure.is_nan() => {
                Some(false)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_judged_when_it_does_not_matter_where_the_truth_lies() {
        let bound = Bound { low: 2.0, high: 4.0 };
        let judged = |low, figure, high| bound.judge(Reading { figure, low, high });
        assert_eq!(judged(2.0, 3.0, 4.0), Some(true));
        assert_eq!((judged(1.0, 3.0, 3.0), judged(3.0, 3.0, 5.0)), (None, None));
        assert_eq!((judged(0.0, 0.5, 1.0), judged(5.0, 6.0, 7.0)), (Some(false), Some(false)));
        assert_eq!(judged(1.0, 1.0, 5.0), None, "it may be within");
        assert_eq!(bound.judge(Reading::exact(f64::NAN)), Some(false));
    }

    #[test]
    fn bounds_are_inclusive_and_refuse_what_is_no_number() {
        let bound = Bound { low: 1.0, high: 2.0 };
        assert!(bound.holds(1.0) && bound.holds(2.0));
        assert!(!bound.holds(2.1) && !bound.holds(f64::NAN));
        assert!(!Bound { low: f64::NEG_INFINITY, high: f64::INFINITY }.holds(f64::NAN));
    }
}
