//! Two runs of the same chapter, claim by claim. Pure.
#![deny(clippy::disallowed_methods)]

use serde::Serialize;

use super::terminal::short;
use crate::runner::{ClaimResult, RunDocument, Verdict};

/// Two runs beside each other.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The chapter's title.
    pub title: String,
    /// When the first one was made, and how.
    pub first: String,
    /// The same of the second.
    pub second: String,
    /// Every claim of either.
    pub lines: Vec<Line>,
}

/// One claim in both.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The claim.
    pub claim: String,
    /// Its step.
    pub step: String,
    /// The unit of its figures.
    pub unit: String,
    /// In the first. `None`: it is not in it.
    pub first: Option<Side>,
    /// In the second.
    pub second: Option<Side>,
}

/// What one run says of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Side {
    /// The figure.
    pub measured: Option<f64>,
    /// The verdict.
    pub verdict: Verdict,
}

/// Lays two runs side by side. The error says why they cannot be compared.
pub fn compare(first: &RunDocument, second: &RunDocument) -> Result<Comparison, String> {
    if first.chapter != second.chapter {
        return Err(format!(
            "these are runs of two chapters, '{}' and '{}': only runs of one can be compared",
            first.chapter, second.chapter
        ));
    }
    let side = |claim: &ClaimResult| Side { measured: claim.measured, verdict: claim.verdict };
    let same = |one: &ClaimResult, other: &ClaimResult| one.step == other.step && one.claim == other.claim;
    let in_second =
        |claim: &ClaimResult| second.findings.claims.iter().find(|other| same(claim, other)).map(side);
    let line = |claim: &ClaimResult, first, second| Line {
        claim: claim.claim.clone(),
        step: claim.step.clone(),
        unit: claim.unit.clone(),
        first,
        second,
    };
    let of_first = first.findings.claims.iter().map(|claim| line(claim, Some(side(claim)), in_second(claim)));
    let new = second
        .findings
        .claims
        .iter()
        .filter(|claim| !first.findings.claims.iter().any(|other| same(claim, other)));
    let of_second = new.map(|claim| line(claim, None, Some(side(claim))));
    let described = |run: &RunDocument| format!("{}, seed {}, {}", run.began, run.seed, run.pace);
    Ok(Comparison {
        title: first.title.clone(),
        first: described(first),
        second: described(second),
        lines: of_first.chain(of_second).collect(),
    })
}

impl Line {
    /// The first run's figure and verdict.
    pub fn first_text(&self) -> String {
        self.text(self.first)
    }

    /// The second run's.
    pub fn second_text(&self) -> String {
        self.text(self.second)
    }

    /// By how much the figure changed, and whether the verdict did.
    pub fn change_text(&self) -> String {
        let (Some(first), Some(second)) = (self.first, self.second) else { return "only in one".into() };
        let flipped = if self.has_flipped() { ", another verdict" } else { "" };
        match (first.measured, second.measured) {
            (Some(before), Some(after)) if before != 0.0 => {
                format!("{:+.0} %{flipped}", 100.0 * (after / before - 1.0))
            }
            (Some(before), Some(after)) if before == after => format!("the same{flipped}"),
            _ => format!("–{flipped}"),
        }
    }

    /// Whether the two verdicts differ.
    pub fn has_flipped(&self) -> bool {
        matches!((self.first, self.second), (Some(one), Some(other)) if one.verdict != other.verdict)
    }

    fn text(&self, side: Option<Side>) -> String {
        let Some(side) = side else { return "–".into() };
        let mark = match side.verdict {
            Verdict::Holds => "✓",
            Verdict::Fails => "✗",
            Verdict::Inconclusive => "?",
            Verdict::Skipped => "skipped,",
        };
        let figure = side.measured.map_or("–".into(), |figure| format!("{}{}", short(figure), self.unit));
        format!("{mark} {figure}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(first: Option<(f64, Verdict)>, second: Option<(f64, Verdict)>) -> Line {
        let side = |(measured, verdict)| Side { measured: Some(measured), verdict };
        let (claim, step, unit) = ("c".into(), "s".into(), " ms".into());
        Line { claim, step, unit, first: first.map(side), second: second.map(side) }
    }

    #[test]
    fn a_change_says_by_how_much_and_whether_it_matters() {
        let better = line(Some((10.0, Verdict::Fails)), Some((5.0, Verdict::Holds)));
        assert_eq!(better.change_text(), "-50 %, another verdict");
        assert_eq!(better.first_text(), "✗ 10 ms");
        let same = line(Some((0.0, Verdict::Holds)), Some((0.0, Verdict::Holds)));
        assert_eq!(same.change_text(), "the same");
        assert_eq!(line(None, Some((1.0, Verdict::Holds))).change_text(), "only in one");
    }
}
