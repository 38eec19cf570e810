//! Judges a measured figure against a claim. Pure.
#![deny(clippy::disallowed_methods)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::measured::Evaluated;
use crate::numbers::short;
use chapter::{Bound, Expect, Expected, Reading};

/// A claim, the measured figure, and the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimResult {
    /// The step that it belongs to.
    pub step: String,
    /// The claim.
    pub claim: String,
    /// The question that its figure answers, where its chapter asks one.
    #[serde(default)]
    pub ask: Option<String>,
    /// Its identifier within the chapter.
    pub id: Option<String>,
    /// The article's words, if it tests them.
    pub article: Option<String>,
    /// The source, if it is not the article.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The measured expression, as written.
    pub measure: String,
    /// The figure. `None` when there was nothing to measure.
    pub measured: Option<f64>,
    /// The figures that it is composed of, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<(String, f64)>,
    /// The bounds of the figure.
    pub bound: Bound,
    /// The unit of both.
    pub unit: String,
    /// Whether the sentence was expected to be confirmed or refuted.
    pub expected: Expected,
    /// The verdict.
    pub verdict: Verdict,
    /// The reason for the expected outcome, or the reason why there is no verdict.
    pub because: Option<String>,
}

/// The verdict on a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was not judged: a stand-in for one of the lab's programs cannot do what is claimed.
    Skipped,
    /// It is as expected: a sentence was confirmed, or was refuted as expected.
    Holds,
    /// There is no verdict: the host or the load generator was the bottleneck, or the figure is not
    /// known.
    Inconclusive,
    /// It is not as expected.
    Fails,
}

impl ClaimResult {
    /// Returns whether its sentence was refuted, as expected.
    pub fn is_refuted_as_expected(&self) -> bool {
        self.expected == Expected::Refute && self.verdict == Verdict::Holds
    }
}

/// Judges one claim. A missing figure means that there was nothing to measure because the expected event did
/// not happen, unless a reason is given why the figure is unknown.
pub(super) fn judge(step: &str, expect: &Expect, evaluated: Evaluated) -> ClaimResult {
    let Evaluated { reading, parts, distrust, doubt, on_a_calm_host, excuse } = evaluated;
    let bound = expect.bound().unwrap_or(Bound { low: f64::NAN, high: f64::NAN });
    let measured = reading.map(|reading| reading.figure);
    let is_known = measured.is_some_and(f64::is_finite);
    let is_so = match reading {
        // What is beyond all numbers meets no bound, not even one that is open above.
        Some(reading) if reading.figure.is_infinite() => None,
        Some(reading) => bound.judge(reading),
        None => Some(false),
    };
    let is_as_expected = match expect.expected {
        Expected::Confirm => is_so,
        // What could not be measured refutes nothing.
        Expected::Refute => is_so.map(|is_so| is_known && !is_so),
    };
    let may_hold = |calm: Option<&(Reading, String)>| {
        let is_so = calm.and_then(|(reading, _)| bound.judge(*reading));
        calm.is_some() && is_so != Some(expect.expected == Expected::Refute)
    };
    let (verdict, because) = match (distrust, is_as_expected, excuse) {
        (Some(reason), _, _) => (Verdict::Inconclusive, Some(reason)),
        (None, Some(true), _) => (Verdict::Holds, expect.because.clone()),
        (None, None, _) => (Verdict::Inconclusive, Some(either_way(reading, doubt))),
        (None, Some(false), Some(reason)) => (Verdict::Inconclusive, Some(reason)),
        (None, Some(false), None) if may_hold(on_a_calm_host.as_ref()) => {
            let (reading, reason) = on_a_calm_host.unzip();
            (Verdict::Inconclusive, Some(either_way(reading, reason)))
        }
        // The chapter's reason explains the opposite outcome.
        (None, Some(false), None) => (Verdict::Fails, None),
    };
    ClaimResult {
        step: step.to_owned(),
        claim: expect.claim.clone(),
        ask: expect.ask.clone(),
        id: expect.id.clone(),
        article: expect.article.clone(),
        source: expect.source.clone(),
        measure: expect.measure.as_ref().clone(),
        measured: measured.filter(|figure| figure.is_finite()),
        parts,
        bound,
        unit: expect.unit.clone(),
        expected: expect.expected,
        verdict,
        because,
    }
}

/// Returns the result of a claim that was not judged, or that failed for a reason other than its figure.
pub(super) fn without_figure(step: &str, expect: &Expect, verdict: Verdict, because: String) -> ClaimResult {
    let nothing = judge(step, expect, Evaluated::default());
    ClaimResult { measured: None, verdict, because: Some(because), ..nothing }
}

/// Explains why a figure may or may not meet the claim.
fn either_way(reading: Option<Reading>, doubt: Option<String>) -> String {
    let reason = doubt.unwrap_or_else(|| "the host was too busy".into());
    match reading {
        Some(Reading { figure, .. }) if figure.is_infinite() => "the figure is infinite".into(),
        // Nothing was late: the measurement ended too early.
        Some(Reading { low, high, .. }) if high.is_infinite() => {
            format!("it lasted until the end of the step: the figure is {} or more", short(low))
        }
        Some(Reading { low, high, .. }) => {
            format!("{reason}, so the figure may be {} to {}", short(low), short(high))
        }
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(measured: Option<f64>) -> Evaluated {
        Evaluated { reading: measured.map(Reading::exact), ..Evaluated::default() }
    }

    fn verdict_of(expected: Expected, evaluated: Evaluated) -> Verdict {
        let text = "claim = 'c'\nmeasure = 'm(s)'\nat-most = 10";
        let expect = Expect { expected, ..toml::from_str(text).unwrap() };
        judge("s", &expect, evaluated).verdict
    }

    fn verdict(expected: Expected, measured: Option<f64>, distrust: Option<&str>) -> Verdict {
        let distrust = distrust.map(str::to_owned);
        verdict_of(expected, Evaluated { distrust, ..evaluated(measured) })
    }

    #[test]
    fn a_late_generator_matters_when_the_claim_hangs_on_it() {
        let of = |expected, low, figure, high| {
            let reading = Some(Reading { figure, low, high });
            verdict_of(expected, Evaluated { reading, doubt: Some("late".into()), ..Evaluated::default() })
        };
        assert_eq!(of(Expected::Confirm, 1.0, 9.0, 9.0), Verdict::Holds);
        assert_eq!(of(Expected::Confirm, 9.0, 11.0, 11.0), Verdict::Inconclusive);
        assert_eq!(of(Expected::Confirm, 11.0, 12.0, 12.0), Verdict::Fails);
        assert_eq!(of(Expected::Refute, 9.0, 11.0, 11.0), Verdict::Inconclusive);
        assert_eq!(of(Expected::Refute, 11.0, 12.0, 12.0), Verdict::Holds);
        let text = "claim = 'c'\nmeasure = 'm(s)'\nat-most = 10";
        let reading = Some(Reading { figure: 11.0, low: 9.0, high: 11.0 });
        let doubt = Some("the load generator was late".into());
        let told =
            judge("s", &toml::from_str(text).unwrap(), Evaluated { reading, doubt, ..evaluated(None) });
        assert_eq!(told.because.unwrap(), "the load generator was late, so the figure may be 9 to 11");
    }

    #[test]
    fn a_busy_host_excuses_as_much_as_it_may_have_added() {
        let of = |expected, low| {
            let calm = Some((Reading { figure: 11.0, low, high: 11.0 }, "busy".into()));
            verdict_of(expected, Evaluated { on_a_calm_host: calm, ..evaluated(Some(11.0)) })
        };
        assert_eq!(of(Expected::Confirm, 9.0), Verdict::Inconclusive);
        assert_eq!(of(Expected::Confirm, 10.5), Verdict::Fails, "not by so much");
        assert_eq!(of(Expected::Refute, 9.0), Verdict::Holds, "what holds holds");
    }

    #[test]
    fn what_a_pause_of_the_host_excuses_has_not_failed() {
        let excused = |figure| {
            let excuse = Some("it stood still".into());
            verdict_of(Expected::Confirm, Evaluated { excuse, ..evaluated(figure) })
        };
        assert_eq!(excused(Some(9.0)), Verdict::Holds);
        assert_eq!(excused(Some(11.0)), Verdict::Inconclusive);
        assert_eq!(excused(None), Verdict::Inconclusive);
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
    fn an_infinite_figure_meets_no_bound() {
        for expected in [Expected::Confirm, Expected::Refute] {
            let of = |text: &str| {
                let expect = Expect { expected, ..toml::from_str(text).unwrap() };
                judge("s", &expect, evaluated(Some(f64::INFINITY)))
            };
            for bound in ["at-least = 10", "at-most = 10"] {
                let claim = of(&format!("claim = 'c'\nmeasure = 'm(s)'\n{bound}"));
                assert_eq!((claim.verdict, claim.measured), (Verdict::Inconclusive, None), "{bound}");
                assert_eq!(claim.because.as_deref(), Some("the figure is infinite"));
            }
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
        let because = |figure| judge("s", &expect, evaluated(Some(figure))).because;
        assert_eq!((because(9.0).as_deref(), because(11.0)), (Some("one in five"), None));
    }

    #[test]
    fn a_measurement_that_is_not_trusted_is_not_judged() {
        assert_eq!(verdict(Expected::Confirm, Some(9.0), Some("busy")), Verdict::Inconclusive);
        assert_eq!(verdict(Expected::Confirm, Some(11.0), Some("busy")), Verdict::Inconclusive);
    }
}
