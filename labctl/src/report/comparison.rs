//! Compares two runs of the same chapter, claim by claim. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::terminal::short;
use crate::runner::{ClaimResult, RunDocument, Verdict};

/// Two runs side by side.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The chapter's title.
    pub title: String,
    /// When the first run was made, and with which settings.
    pub first: String,
    /// The same for the second run.
    pub second: String,
    /// Differences between the two chapter files, key by key.
    pub differences: Vec<Difference>,
    /// All claims of both runs.
    pub lines: Vec<Line>,
}

/// One key that differs between two chapter files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The full key: `machine.web.cores`.
    pub key: String,
    /// The first file's value; `None` if it has none.
    pub first: Option<String>,
    /// The second file's value.
    pub second: Option<String>,
}

impl Difference {
    /// Returns the values of both files.
    pub fn sides(&self) -> (&str, &str) {
        (self.first.as_deref().unwrap_or("–"), self.second.as_deref().unwrap_or("–"))
    }
}

/// Compares two chapter files.
pub fn differences(first: &str, second: &str) -> Vec<Difference> {
    let (first, second) = (flat(first), flat(second));
    let keys: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let differing = keys.into_iter().filter(|key| first.get(*key) != second.get(*key));
    let difference = |key: &String| Difference {
        key: key.clone(),
        first: first.get(key).cloned(),
        second: second.get(key).cloned(),
    };
    differing.map(difference).collect()
}

/// Flattens a file into values by key. Elements of a list are named by their `name` or `id`, or by number
/// from 1.
fn flat(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    if let Ok(table) = toml::from_str::<toml::Table>(text) {
        flatten(&toml::Value::Table(table), String::new(), &mut values);
    }
    values
}

fn flatten(value: &toml::Value, key: String, values: &mut BTreeMap<String, String>) {
    let inside = |word: &str| if key.is_empty() { word.to_owned() } else { format!("{key}.{word}") };
    match value {
        toml::Value::Table(table) => {
            table.iter().for_each(|(word, value)| flatten(value, inside(word), values));
        }
        toml::Value::Array(list) if list.iter().all(toml::Value::is_table) => {
            for (number, member) in (1..).zip(list) {
                let name = member.get("name").or_else(|| member.get("id")).and_then(toml::Value::as_str);
                flatten(member, inside(name.unwrap_or(&i32::to_string(&number))), values);
            }
        }
        other => drop(values.insert(key, other.to_string())),
    }
}

/// One claim in both runs.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The claim.
    pub claim: String,
    /// Its step.
    pub step: String,
    /// The unit of its figures.
    pub unit: String,
    /// Its result in the first run; `None` if the run does not have it.
    pub first: Option<Side>,
    /// Its result in the second run.
    pub second: Option<Side>,
}

/// The result of a claim in one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Side {
    /// The figure.
    pub measured: Option<f64>,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether the sentence was refuted, as expected.
    pub refuted: bool,
}

/// Compares two runs, each given with the text of its chapter. The error says why they cannot be compared.
pub fn compare(
    (first, first_text): (&RunDocument, &str),
    (second, second_text): (&RunDocument, &str),
) -> Result<Comparison, String> {
    if first.chapter != second.chapter {
        return Err(format!(
            "these are runs of two chapters, '{}' and '{}': only runs of one can be compared",
            first.chapter, second.chapter
        ));
    }
    let side = |claim: &ClaimResult| Side {
        measured: claim.measured,
        verdict: claim.verdict,
        refuted: claim.is_refuted_as_expected(),
    };
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
    let described = |run: &RunDocument| {
        let began = run.began.strftime("%Y-%m-%d %H:%M:%S UTC");
        format!("{began}, seed {}, {}", run.seed, run.pace)
    };
    Ok(Comparison {
        title: first.title.clone(),
        first: described(first),
        second: described(second),
        differences: differences(first_text, second_text),
        lines: of_first.chain(of_second).collect(),
    })
}

impl Comparison {
    /// Says how many verdicts differ.
    pub fn summary(&self) -> String {
        match self.lines.iter().filter(|line| line.has_flipped()).count() {
            0 => format!("No verdict of {} differs.", self.lines.len()),
            1 => "One verdict differs.".into(),
            many => format!("{many} verdicts differ."),
        }
    }
}

impl Line {
    /// Returns the first run's figure and verdict.
    pub fn first_text(&self) -> String {
        self.text(self.first)
    }

    /// Returns the second run's figure and verdict.
    pub fn second_text(&self) -> String {
        self.text(self.second)
    }

    /// Describes the change of the figure, and of the verdict.
    pub fn change_text(&self) -> String {
        let (Some(first), Some(second)) = (self.first, self.second) else { return "only in one".into() };
        let flipped = if self.has_flipped() { ", another verdict" } else { "" };
        match (first.measured, second.measured) {
            (Some(before), Some(after)) if is_the_same(before, after, &self.unit) => {
                format!("the same{flipped}")
            }
            (Some(before), Some(after)) => format!("{}{flipped}", change(before, after)),
            _ => format!("–{flipped}"),
        }
    }

    /// Returns whether the verdicts differ.
    pub fn has_flipped(&self) -> bool {
        matches!((self.first, self.second), (Some(one), Some(other)) if one.verdict != other.verdict)
    }

    fn text(&self, side: Option<Side>) -> String {
        let Some(side) = side else { return "–".into() };
        let mark = match side.verdict {
            Verdict::Holds if side.refuted => "≠",
            Verdict::Holds => "✓",
            Verdict::Fails => "✗",
            Verdict::Inconclusive => "?",
            Verdict::Skipped => "skipped,",
        };
        let figure = side.measured.map_or("–".into(), |figure| format!("{}{}", short(figure), self.unit));
        format!("{mark} {figure}")
    }
}

/// Above this factor, a change is told as a factor: percentages of that size say nothing.
const FACTOR_MAX: f64 = 10.0;

/// Describes a change: in percent, as a factor, or by its ends where there is no ratio.
fn change(before: f64, after: f64) -> String {
    let factor = after / before;
    match factor {
        // From or to 0, or across it.
        _ if before == 0.0 || factor <= 0.0 => format!("{} → {}", short(before), short(after)),
        factor if factor > FACTOR_MAX => format!("×{}", short(factor)),
        factor if factor < 1.0 / FACTOR_MAX => format!("÷{}", short(1.0 / factor)),
        factor => format!("{:+.0} %", 100.0 * (factor - 1.0)),
    }
}

/// Returns whether two figures are equal for practical purposes: less than half a percent apart, or times
/// less than a millisecond apart.
fn is_the_same(before: f64, after: f64, unit: &str) -> bool {
    // " s apart" is in seconds, too.
    let nothing = match unit.split_whitespace().next() {
        Some("ms") => 1.0,
        Some("s") => 0.001,
        _ => 0.0,
    };
    let apart = (before - after).abs();
    apart <= nothing || apart < 0.005 * before.abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_files_say_differently_is_named_by_key() {
        let first = "number = 1\n[machine.web]\ncores = 1\n[[step]]\nname = 'half'\nmeasure = '2s'\n";
        let second = first.replace("cores = 1", "cores = 2\nprice = 100.0").replace("'2s'", "'4s'");
        let differences = differences(first, &second);
        let keys: Vec<_> = differences.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["machine.web.cores", "machine.web.price", "step.half.measure"]);
        assert_eq!((differences[0].sides(), differences[1].sides()), (("1", "2"), ("–", "100.0")));
        assert_eq!(super::differences(first, first), []);
    }

    #[test]
    fn what_nobody_would_notice_is_the_same() {
        let change =
            |before, after| line(Some((before, Verdict::Holds)), Some((after, Verdict::Holds))).change_text();
        assert_eq!(change(0.4, 1.1), "the same", "0.7 ms are nothing");
        assert_eq!(change(1000.0, 1001.0), "the same");
        assert!(is_the_same(0.0004, 0.0002, " s apart") && !is_the_same(0.4, 0.2, " s apart"));
        assert_eq!(change(10.0, 30.0), "+200 %");
    }

    #[test]
    fn a_change_beyond_percentages_is_a_factor_or_both_figures() {
        let told: Vec<_> =
            [(3.0, 1701.0), (1701.0, 3.0), (10.0, 100.0), (0.0, 12.0), (12.0, 0.0), (-1.0, 2.0)]
                .map(|(before, after)| super::change(before, after))
                .into();
        assert_eq!(told, ["×567", "÷567", "+900 %", "0 → 12", "12 → 0", "-1 → 2"]);
    }

    #[test]
    fn a_sentence_that_was_refuted_has_no_tick() {
        let side = Side { measured: Some(1.5), verdict: Verdict::Holds, refuted: true };
        let refuted = Line { first: Some(side), ..line(None, None) };
        assert_eq!(refuted.first_text(), "≠ 1.50 ms");
    }

    fn line(first: Option<(f64, Verdict)>, second: Option<(f64, Verdict)>) -> Line {
        let side = |(measured, verdict)| Side { measured: Some(measured), verdict, refuted: false };
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
