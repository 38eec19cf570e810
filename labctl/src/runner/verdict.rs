//! What a measured figure says of a claim. Pure.
#![deny(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};

use chapter::{Bound, Expect, Expected};

/// A claim, what was measured, and what that says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimResult {
    /// The step it belongs to.
    pub step: String,
    /// The claim.
    pub claim: String,
    /// What others call it by, within its chapter.
    pub id: Option<String>,
    /// The article's words, where it tests them.
    pub article: Option<String>,
    /// What was measured, as written.
    pub measure: String,
    /// The figure. `None` when there was nothing to measure.
    pub measured: Option<f64>,
    /// What it had to be.
    pub bound: Bound,
    /// The unit of both.
    pub unit: String,
    /// Whether the sentence was expected to be confirmed or refuted.
    pub expected: Expected,
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is so, where it is as expected; or why nothing can be said.
    pub because: Option<String>,
}

/// What can be said of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is as expected: a sentence confirmed, or one refuted that was expected to be.
    Holds,
    /// Nothing can be said: the host or the load generator was the bottleneck, or what was measured is not
    /// known.
    Inconclusive,
    /// It is not as expected.
    Fails,
}

/// Judges one claim. `distrust` says why the figure is not known, or says more about the host than about
/// the servers, if so. Without it no figure means that there was nothing to measure: what was to happen
/// did not.
pub(super) fn judge(
    step: &str,
    expect: &Expect,
    measured: Option<f64>,
    distrust: Option<String>,
) -> ClaimResult {
    let bound = expect.bound().unwrap_or(Bound { low: f64::NAN, high: f64::NAN });
    let so = measured.is_some_and(|figure| bound.holds(figure));
    let known = measured.is_some_and(f64::is_finite);
    let as_expected = match expect.expected {
        Expected::Confirm => so,
        // What could not be measured refutes nothing.
        Expected::Refute => known && !so,
    };
    let (verdict, because) = match (distrust, as_expected) {
        (Some(reason), _) => (Verdict::Inconclusive, Some(reason)),
        (None, true) => (Verdict::Holds, expect.because.clone()),
        // What the chapter gives as a reason is one for the opposite.
        (None, false) => (Verdict::Fails, None),
    };
    ClaimResult {
        step: step.to_owned(),
        claim: expect.claim.clone(),
        id: expect.id.clone(),
        article: expect.article.clone(),
        measure: expect.measure.as_ref().clone(),
        measured: measured.filter(|figure| figure.is_finite()),
        bound,
        unit: expect.unit.clone(),
        expected: expect.expected,
        verdict,
        because,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(expected: Expected, measured: Option<f64>, distrust: Option<&str>) -> Verdict {
        let text = "claim = 'c'\nmeasure = 'm(s)'\nat-most = 10";
        let expect = Expect { expected, ..toml::from_str(text).unwrap() };
        judge("s", &expect, measured, distrust.map(str::to_owned)).verdict
    }

    #[test]
    fn a_figure_within_bounds_confirms_and_one_outside_refutes() {
        assert_eq!(verdict(Expected::Confirm, Some(9.0), None), Verdict::Holds);
        assert_eq!(verdict(Expected::Confirm, Some(11.0), None), Verdict::Fails);
        assert_eq!(verdict(Expected::Refute, Some(11.0), None), Verdict::Holds);
        assert_eq!(verdict(Expected::Refute, Some(9.0), None), Verdict::Fails);
    }

    #[test]
    fn nothing_measured_neither_confirms_nor_refutes() {
        for nothing in [None, Some(f64::NAN)] {
            assert_eq!(verdict(Expected::Confirm, nothing, None), Verdict::Fails);
            assert_eq!(verdict(Expected::Refute, nothing, None), Verdict::Fails);
        }
    }

    #[test]
    fn what_is_not_known_is_inconclusive_and_says_why() {
        assert_eq!(verdict(Expected::Confirm, None, Some("too long a search")), Verdict::Inconclusive);
        assert_eq!(verdict(Expected::Refute, None, Some("too long a search")), Verdict::Inconclusive);
    }

    #[test]
    fn the_reason_for_what_is_expected_is_none_for_what_is_not() {
        let text = "claim = 'c'\nmeasure = 'm(s)'\nat-most = 10\nbecause = 'one in five'";
        let expect: Expect = toml::from_str(text).unwrap();
        let because = |figure| judge("s", &expect, Some(figure), None).because;
        assert_eq!((because(9.0).as_deref(), because(11.0)), (Some("one in five"), None));
    }

    #[test]
    fn a_measurement_that_is_not_trusted_is_not_judged() {
        assert_eq!(verdict(Expected::Confirm, Some(9.0), Some("busy")), Verdict::Inconclusive);
        assert_eq!(verdict(Expected::Confirm, Some(11.0), Some("busy")), Verdict::Inconclusive);
    }
}
