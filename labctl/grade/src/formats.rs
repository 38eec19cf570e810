//! A grade in the formats of classroom graders. Pure.
#![deny(clippy::disallowed_methods)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::report::{Grade, Outcome, StageResult};

impl Grade {
    /// Returns the grade as GitHub Classroom's grading reporter reads it from `TEST_RESULTS`: JSON of version 1, in
    /// base64. Points that cannot be earned on this computer are not part of the maximum.
    pub fn classroom(&self) -> String {
        let tests: Vec<_> = self.judged().map(classroom_test).collect();
        let max_score: u32 = self.judged().map(|stage| stage.out_of).sum();
        let status = match self.exit_code() {
            0 => "pass",
            1 => "fail",
            _ => "error",
        };
        let result = json!({ "version": 1, "status": status, "max_score": max_score, "tests": tests });
        STANDARD.encode(result.to_string())
    }

    /// Returns the grade as Gradescope's `results.json`.
    pub fn gradescope(&self) -> Value {
        let tests: Vec<_> = self.judged().map(gradescope_test).collect();
        json!({ "output": self.summary(), "tests": tests })
    }

    fn judged(&self) -> impl Iterator<Item = &StageResult> {
        self.stages.iter().filter(|stage| stage.outcome != Outcome::Skipped)
    }
}

fn classroom_test(stage: &StageResult) -> Value {
    let status = match stage.outcome {
        Outcome::Passed => "pass",
        Outcome::Failed => "fail",
        Outcome::Skipped | Outcome::TooBusy | Outcome::NotReached => "error",
    };
    json!({
        "name": stage.name,
        "status": status,
        "score": stage.points,
        "message": stage.because.clone().unwrap_or_default(),
        "test_code": stage.did.join("\n"),
        "filename": "",
        "line_no": 0,
        "duration": 0,
    })
}

fn gradescope_test(stage: &StageResult) -> Value {
    let status = if stage.outcome == Outcome::Passed { "passed" } else { "failed" };
    json!({
        "name": stage.name,
        "number": stage.number.to_string(),
        "score": stage.points,
        "max_score": stage.out_of,
        "status": status,
        "output": stage.lines(0).join("\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::grade;

    #[test]
    fn a_classroom_gets_points_for_what_was_judged() {
        let grade = grade(&[Outcome::Passed, Outcome::Failed, Outcome::Skipped]);
        let text = STANDARD.decode(grade.classroom()).expect("it is base64");
        let result: Value = serde_json::from_slice(&text).expect("it is JSON");
        assert_eq!((&result["status"], &result["max_score"]), (&"fail".into(), &20.into()));
        assert_eq!(result["tests"].as_array().map(Vec::len), Some(2));
        assert_eq!(result["tests"][0]["score"], 10);
        assert_eq!(result["tests"][1]["message"], "web-2 got nothing");
    }

    #[test]
    fn gradescope_gets_a_test_for_each_stage() {
        let results = grade(&[Outcome::Passed, Outcome::Failed]).gradescope();
        assert_eq!(results["tests"][1]["max_score"], 10);
        assert_eq!(results["tests"][1]["status"], "failed");
        assert!(
            results["tests"][1]["output"].as_str().is_some_and(|text| text.contains("web-2 got nothing"))
        );
    }
}
