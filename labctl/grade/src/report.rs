//! The results of a grade, for people and for programs.

use std::fmt::Write as _;

use anyhow::Context;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use crate::ground::Traces;
use crate::stage::Stage;

/// The version of the JSON document.
const SCHEMA: &str = "scaling-lab/grade/1";

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All expectations were met.
    Passed,
    /// An expectation was not met.
    Failed,
    /// It cannot be judged on this computer: its points are not counted.
    Skipped,
    /// The computer was too busy to judge it.
    TooBusy,
    /// An earlier stage failed.
    NotReached,
}

/// One stage's result.
#[derive(Debug, Clone, Serialize)]
pub struct StageResult {
    /// Its number, from 1.
    pub number: usize,
    /// Its name.
    pub name: String,
    /// What it checks.
    pub about: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The points earned.
    pub points: u32,
    /// The points available.
    pub out_of: u32,
    /// What went wrong, as a sentence.
    pub because: Option<String>,
    /// The commands that reproduce it.
    pub did: Vec<String>,
    /// The end of the part's output during the stage.
    pub said: String,
    /// Hints, in order.
    pub hints: Vec<String>,
    /// Further reading.
    pub read: String,
}

/// A whole grade.
#[derive(Debug, Clone, Serialize)]
pub struct Grade {
    /// What was graded: `lb` or `db`.
    pub kind: &'static str,
    /// The program.
    pub program: String,
    /// Its stages.
    pub stages: Vec<StageResult>,
    /// The points available in the selected stages.
    pub out_of: u32,
}

impl StageResult {
    fn of<A>(
        number: usize,
        stage: &Stage<A>,
        outcome: Outcome,
        because: Option<String>,
        traces: Traces,
    ) -> Self {
        Self {
            number,
            name: stage.name.clone(),
            about: stage.about.clone(),
            outcome,
            points: if outcome == Outcome::Passed { stage.points } else { 0 },
            out_of: stage.points,
            because,
            did: traces.did,
            said: traces.said,
            hints: stage.hints.clone(),
            read: stage.read.clone(),
        }
    }

    pub(crate) fn passed<A>(number: usize, stage: &Stage<A>, traces: Traces) -> Self {
        Self::of(number, stage, Outcome::Passed, None, traces)
    }

    pub(crate) fn failed<A>(number: usize, stage: &Stage<A>, sentence: String, traces: Traces) -> Self {
        Self::of(number, stage, Outcome::Failed, Some(sentence), traces)
    }

    pub(crate) fn skipped<A>(number: usize, stage: &Stage<A>, reason: String, traces: Traces) -> Self {
        Self::of(number, stage, Outcome::Skipped, Some(reason), traces)
    }

    pub(crate) fn not_reached<A>(number: usize, stage: &Stage<A>) -> Self {
        Self::of(number, stage, Outcome::NotReached, None, Traces::default())
    }

    /// Formats the stage in a few lines: what went wrong, the acts, the part's output, and this number of hints.
    pub fn lines(&self, hints: usize) -> Vec<String> {
        let mark = match self.outcome {
            Outcome::Passed => "✓",
            Outcome::Failed => "✗",
            Outcome::Skipped => "–",
            Outcome::TooBusy => "?",
            Outcome::NotReached => " ",
        };
        let Self { number, name, points, out_of, .. } = self;
        let told = self.because.as_deref().unwrap_or(&self.about);
        let mut lines = vec![format!("{number:>2} {name:<26} {mark} {points:>2}/{out_of:<2}  {told}")];
        if !matches!(self.outcome, Outcome::Failed | Outcome::TooBusy) {
            return lines;
        }
        lines.push("   what was done, for you to repeat:".into());
        lines.extend(self.did.iter().map(|did| format!("     $ {did}")));
        lines.push(match self.said.is_empty() {
            true => "   your program said nothing meanwhile".into(),
            false => "   what your program said meanwhile, in the end:".into(),
        });
        lines.extend(last(&self.said, 8).map(|line| format!("     | {line}")));
        lines.extend(self.hints.iter().take(hints).map(|hint| format!("   hint: {hint}")));
        let more = self.hints.len().saturating_sub(hints);
        if more > 0 && hints > 0 {
            lines.push(format!("   (--hint {} shows another one)", hints + 1));
        } else if hints == 0 {
            lines.push("   (--hint shows what to think of)".into());
        }
        lines.push(format!("   read: {}", self.read));
        lines
    }
}

fn last(text: &str, count: usize) -> impl Iterator<Item = &str> {
    let skipped = text.lines().count().saturating_sub(count);
    text.lines().skip(skipped)
}

impl Grade {
    /// Returns the points earned.
    pub fn points(&self) -> u32 {
        self.stages.iter().map(|stage| stage.points).sum()
    }

    /// Returns 0 if everything that can be judged here is passed, 1 if not, and 3 if the computer was too busy for some
    /// of it and nothing else failed.
    pub fn exit_code(&self) -> u8 {
        let has = |outcome| self.stages.iter().any(|stage| stage.outcome == outcome);
        match (has(Outcome::Failed), has(Outcome::TooBusy)) {
            (true, _) => 1,
            (false, true) => 3,
            (false, false) => 0,
        }
    }

    /// Returns the last line of the report.
    pub fn summary(&self) -> String {
        let skipped: u32 = self
            .stages
            .iter()
            .filter(|stage| stage.outcome == Outcome::Skipped)
            .map(|stage| stage.out_of)
            .sum();
        let skipped = if skipped > 0 {
            format!(" ({skipped} cannot be earned on this computer)")
        } else {
            String::new()
        };
        format!("{} of {} points{skipped}", self.points(), self.out_of)
    }

    /// Returns the grade as one JSON document.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "schema": SCHEMA,
            "kind": self.kind,
            "program": self.program,
            "points": self.points(),
            "out_of": self.out_of,
            "stages": self.stages,
        })
    }

    /// Returns the grade as comma-separated values, one line per stage.
    pub fn csv(&self) -> String {
        let mut text = String::from("stage,name,outcome,points,out_of\n");
        for StageResult { number, name, outcome, points, out_of, .. } in &self.stages {
            let outcome = serde_json::to_value(outcome).unwrap_or_default();
            let outcome = outcome.as_str().unwrap_or_default().to_owned();
            let _ = writeln!(text, "{number},{name},{outcome},{points},{out_of}");
        }
        text
    }

    /// Returns the grade as JUnit XML, one test per stage.
    pub fn junit(&self) -> anyhow::Result<String> {
        let mut suite = TestSuite::new(format!("grade {}", self.kind));
        for stage in &self.stages {
            let because = stage.because.clone().unwrap_or_default();
            let status = match stage.outcome {
                Outcome::Passed => TestCaseStatus::success(),
                Outcome::Failed => {
                    let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    failed.set_message(because.clone());
                    failed
                }
                Outcome::Skipped | Outcome::TooBusy | Outcome::NotReached => {
                    let mut skipped = TestCaseStatus::skipped();
                    skipped.set_message(because.clone());
                    skipped
                }
            };
            let mut case = TestCase::new(format!("{} {}", stage.number, stage.name), status);
            case.set_system_out(stage.lines(0).join("\n"));
            suite.add_test_case(case);
        }
        let mut report = Report::new("labctl grade");
        report.add_test_suite(suite);
        report.to_string().context("write JUnit XML")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::stage::Stages;

    fn result(outcome: Outcome) -> StageResult {
        let stages = Stages::of_balancer();
        let because = (outcome == Outcome::Failed).then(|| "web-2 got nothing".to_owned());
        StageResult {
            said: "a\nb".into(),
            ..StageResult::of(2, &stages.stage[1], outcome, because, Traces::default())
        }
    }

    pub(crate) fn grade(outcomes: &[Outcome]) -> Grade {
        let stages = outcomes.iter().map(|outcome| result(*outcome)).collect();
        Grade { kind: "lb", program: "./my-lb".into(), stages, out_of: 10 * outcomes.len() as u32 }
    }

    #[test]
    fn a_busy_computer_costs_no_point_and_a_failure_counts_more() {
        use Outcome::{Failed, NotReached, Passed, Skipped, TooBusy};
        assert_eq!(grade(&[Passed, Skipped]).exit_code(), 0);
        assert_eq!(grade(&[Passed, TooBusy, NotReached]).exit_code(), 3);
        assert_eq!(grade(&[TooBusy, Failed]).exit_code(), 1);
        let grade = grade(&[Passed, Skipped]);
        assert_eq!(grade.summary(), "10 of 20 points (10 cannot be earned on this computer)");
    }

    #[test]
    fn a_stage_that_failed_says_why_and_gives_hints_when_asked() {
        let lines = result(Outcome::Failed).lines(1).join("\n");
        assert!(lines.contains("takes turns") && lines.contains("✗  0/10  web-2 got nothing"), "{lines}");
        assert!(lines.contains("     | b") && lines.contains("hint: One counter"), "{lines}");
        assert!(lines.contains("--hint 2") && !lines.contains("modulo"), "{lines}");
        assert_eq!(result(Outcome::Passed).lines(1).len(), 1);
    }

    #[test]
    fn programs_read_it_in_three_ways() {
        let grade = grade(&[Outcome::Passed, Outcome::Failed]);
        assert_eq!(grade.json()["points"], 10);
        assert_eq!(grade.csv().lines().last(), Some("2,takes turns,failed,0,10"));
        let junit = grade.junit().unwrap();
        assert!(junit.contains("failures=\"1\"") && junit.contains("web-2 got nothing"), "{junit}");
    }
}
