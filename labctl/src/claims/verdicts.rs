//! The verdict of the evidence on each sentence, and whether it is the one in the registry. Pure.
#![deny(clippy::disallowed_methods)]

use serde::Serialize;

use super::evidence::Evidence;
use super::registry::{Claim, Exhibit, Expectation, Registry};
use super::table_measures::TableCall;
use crate::runner::Verdict;
use chapter::Reading;
use chapter::expression::{Expression, ZeroDivisor};

/// The standing of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// All evidence agrees with the registry.
    AsExpected,
    /// Some evidence has not been measured yet.
    NotMeasured,
    /// Some evidence is inconclusive because the host was the bottleneck.
    Inconclusive,
    /// Some evidence contradicts the registry.
    Flipped,
}

impl Standing {
    /// All standings, best first.
    pub const ALL: [Self; 4] = [Self::AsExpected, Self::NotMeasured, Self::Inconclusive, Self::Flipped];

    /// Returns its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::AsExpected => "as-expected",
            Self::NotMeasured => "not-measured",
            Self::Inconclusive => "inconclusive",
            Self::Flipped => "flipped",
        }
    }
}

/// A sentence with its standing.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// Its identifier.
    pub id: String,
    /// The heading that it belongs to.
    pub chapter: String,
    /// Its words.
    pub article: String,
    /// The source of a sentence beyond the article.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The outcome that the lab expects.
    pub expected: Expectation,
    /// Its standing.
    pub standing: Standing,
    /// Why it is true, or is not.
    pub because: String,
    /// The evidence, piece by piece.
    pub evidence: Vec<Piece>,
}

impl Judged {
    /// Returns whether a filter word selects it: a chapter that measures it, a part of its heading or of its
    /// identifier, or its standing.
    pub fn is_among(&self, wanted: &str) -> bool {
        let measured_by =
            |piece: &Piece| piece.of.split_once('#').is_some_and(|(chapter, _)| chapter == wanted);
        self.standing.name() == wanted
            || self.evidence.iter().any(measured_by)
            || self.id.contains(wanted)
            || self.chapter.to_lowercase().contains(&wanted.to_lowercase())
    }
}

/// One piece of evidence.
#[derive(Debug, Clone, Serialize)]
pub struct Piece {
    /// Its reference: a chapter's claim, or an expression over the table.
    pub of: String,
    /// Whether it supports the sentence if it holds.
    pub speaks_for: bool,
    /// The figure, where there is one.
    pub measured: Option<f64>,
    /// Whether it holds.
    pub standing: Standing,
}

/// Judges every sentence.
pub fn judge(registry: &Registry, evidence: &Evidence) -> Vec<Judged> {
    registry.claim.iter().map(|claim| judge_one(claim, evidence)).collect()
}

fn judge_one(claim: &Claim, evidence: &Evidence) -> Judged {
    let spoken = |exhibits: &[Exhibit], speaks_for: bool| {
        exhibits.iter().map(|exhibit| piece(exhibit, speaks_for, evidence)).collect::<Vec<_>>()
    };
    let pieces = [spoken(&claim.r#for, true), spoken(&claim.against, false)].concat();
    Judged {
        id: claim.id.clone(),
        chapter: claim.chapter.clone(),
        article: claim.article.clone(),
        source: claim.source.clone(),
        expected: claim.expectation(),
        standing: pieces.iter().map(|piece| piece.standing).max().unwrap_or(Standing::NotMeasured),
        because: claim.because.clone(),
        evidence: pieces,
    }
}

fn piece(exhibit: &Exhibit, speaks_for: bool, evidence: &Evidence) -> Piece {
    let (of, measured, standing) = match exhibit {
        Exhibit::Run(name) => {
            let found = evidence.runs.get(name);
            let standing = match found.map(|found| found.verdict) {
                None | Some(Verdict::Skipped) => Standing::NotMeasured,
                Some(Verdict::Holds) => Standing::AsExpected,
                Some(Verdict::Inconclusive) => Standing::Inconclusive,
                Some(Verdict::Fails) => Standing::Flipped,
            };
            (name.clone(), found.and_then(|found| found.measured), standing)
        }
        Exhibit::Table(exhibit) => {
            // A test parses every built-in expression.
            let expression = Expression::<TableCall>::parse(&exhibit.table).ok();
            let (table, expression) = (evidence.table.as_ref(), expression.as_ref());
            let value = table.zip(expression).map_or(Ok(None), |(table, expression)| {
                let measured = |call: &TableCall| Ok::<_, ZeroDivisor>(call.value(table).map(Reading::exact));
                expression.value(&measured)
            });
            let is_divided_by_zero = value.is_err();
            let value = value.ok().flatten().map(|reading| reading.figure);
            let is_doubted = table.zip(expression).is_some_and(|(table, expression)| {
                expression.measures().into_iter().any(|call| call.is_doubted(table))
            });
            let standing = match value {
                _ if is_doubted || is_divided_by_zero => Standing::Inconclusive,
                None => Standing::NotMeasured,
                Some(figure) if exhibit.bound().holds(figure) => Standing::AsExpected,
                Some(_) => Standing::Flipped,
            };
            (exhibit.table.clone(), value, standing)
        }
    };
    Piece { of, speaks_for, measured: measured.filter(|figure| figure.is_finite()), standing }
}

/// Returns the worst standing.
pub fn worst(judged: &[Judged]) -> Standing {
    judged.iter().map(|judged| judged.standing).max().unwrap_or(Standing::NotMeasured)
}

#[cfg(test)]
mod tests {
    use super::super::evidence::Found;
    use super::*;

    fn standing(claim: &str, runs: &[(&str, Verdict)]) -> Standing {
        let text = format!("id = 'c'\nchapter = 'C'\narticle = 'a'\nbecause = 'b'\n{claim}");
        let claim: Claim = toml::from_str(&text).unwrap();
        let found = |verdict: &Verdict| Found { verdict: *verdict, measured: Some(1.0) };
        let runs = runs.iter().map(|(name, verdict)| ((*name).to_owned(), found(verdict))).collect();
        let table = Some(super::super::table_measures::tests::table());
        judge_one(&claim, &Evidence { runs, table, ..Evidence::default() }).standing
    }

    #[test]
    fn a_sentence_stands_as_expected_when_all_that_is_bound_to_it_does() {
        let claim = "for = ['a#x']\nagainst = ['a#y']";
        assert_eq!(
            standing(claim, &[("a#x", Verdict::Holds), ("a#y", Verdict::Holds)]),
            Standing::AsExpected
        );
        assert_eq!(standing(claim, &[("a#x", Verdict::Holds), ("a#y", Verdict::Fails)]), Standing::Flipped);
        assert_eq!(standing(claim, &[("a#x", Verdict::Holds)]), Standing::NotMeasured);
        let doubtful = [("a#x", Verdict::Inconclusive), ("a#y", Verdict::Holds)];
        assert_eq!(standing(claim, &doubtful), Standing::Inconclusive);
    }

    #[test]
    fn a_figure_of_the_table_is_evidence_too() {
        assert_eq!(
            standing("against = [{ table = 'points(row-6)', at-least = 1 }]", &[]),
            Standing::AsExpected
        );
        assert_eq!(standing("for = [{ table = 'points(row-6)', equals = 0 }]", &[]), Standing::Flipped);
        assert_eq!(standing("for = [{ table = 'points(row-9)', equals = 0 }]", &[]), Standing::NotMeasured);
        let by_zero = "for = [{ table = 'points(row-6) / (cost(row-6) - cost(row-6))', at-least = 1 }]";
        assert_eq!(standing(by_zero, &[]), Standing::Inconclusive, "infinity proves nothing");
    }

    #[test]
    fn what_is_expected_follows_from_what_is_bound() {
        let expected = |bound: &str| {
            let text = format!("id = 'c'\nchapter = 'C'\narticle = 'a'\nbecause = 'b'\n{bound}");
            toml::from_str::<Claim>(&text).unwrap().expectation()
        };
        assert_eq!(expected("for = ['a#x']"), Expectation::Confirm);
        assert_eq!(expected("against = ['a#x']"), Expectation::Refute);
        assert_eq!(expected("for = ['a#x']\nagainst = ['a#y']"), Expectation::Depends);
    }
}
