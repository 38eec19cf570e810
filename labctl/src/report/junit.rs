//! A summary as JUnit XML, for CI systems that display it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::audit::{Audit, Class};
use crate::claims::{Judged, Standing};
use crate::results::Summary;
use crate::runner::{ClaimResult, RunDocument, Verdict};

/// Writes runs of chapters: a suite per chapter, a case per claim.
pub fn write(summary: &Summary, path: &Path) -> anyhow::Result<()> {
    let mut report = Report::new("scaling-lab");
    for run in &summary.runs {
        let mut suite = TestSuite::new(&run.chapter);
        suite.set_time(Duration::from_secs_f64(run.seconds));
        suite.timestamp = run.began.to_string().parse().ok();
        suite.add_properties(properties(run));
        suite.add_test_cases(run.findings.claims.iter().map(|claim| case(run, claim)));
        report.add_test_suite(suite);
    }
    write_report(&report, path)
}

/// Returns what is needed to repeat the run.
fn properties(run: &RunDocument) -> Vec<(String, String)> {
    let set_up = &run.set_up;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut properties = vec![
        ("seed".to_owned(), run.seed.to_string()),
        ("pace".to_owned(), word(&run.pace)),
        ("backend".to_owned(), word(&set_up.backend)),
        ("labctl".to_owned(), set_up.labctl.clone()),
        ("host".to_owned(), host.trim().to_owned()),
        ("host-cores".to_owned(), set_up.host_cores.to_string()),
        ("attempt".to_owned(), set_up.attempt.to_string()),
        ("directory".to_owned(), run.directory.display().to_string()),
    ];
    properties.extend(set_up.settings.iter().map(|setting| ("set".to_owned(), setting.clone())));
    properties
}

/// Returns a value's name in stored documents: `quick`, `process`.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Returns the duration of a step, up to the beginning of the next one.
fn time_of(step: &str, steps: &[(String, f64)], ended: f64) -> Option<Duration> {
    let at = steps.iter().position(|(name, _)| name == step)?;
    let end = steps.get(at + 1).map_or(ended, |(_, begun)| *begun);
    Duration::try_from_secs_f64(end - steps[at].1).ok()
}

fn write_report(report: &Report, path: &Path) -> anyhow::Result<()> {
    let text = report.to_string().context("write JUnit XML")?;
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// Writes an audit: a suite per fault, a case per path. Outages, including partial ones, and losses are
/// failures.
pub fn write_audit(audit: &Audit, path: &Path) -> anyhow::Result<()> {
    let mut report = Report::new(format!("audit of {}", audit.architecture));
    for row in &audit.rows {
        let mut suite = TestSuite::new(row.title());
        for (name, impact) in &row.cells {
            let status = if impact.class >= Class::Partial {
                let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
                failed.set_message(super::audit_text::in_short(impact));
                failed
            } else {
                TestCaseStatus::success()
            };
            let mut case = TestCase::new(name, status);
            case.set_time(Duration::try_from_secs_f64(impact.outage_seconds).unwrap_or_default());
            case.set_system_out(super::audit_text::in_short(impact));
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    write_report(&report, path)
}

/// Writes the standing of the article's sentences: a suite per heading, a case per sentence.
pub fn write_claims(judged: &[Judged], path: &Path) -> anyhow::Result<()> {
    let mut report = Report::new("claims");
    for of_chapter in judged.chunk_by(|one, other| one.chapter == other.chapter) {
        let mut suite = TestSuite::new(&of_chapter[0].chapter);
        suite.add_test_cases(of_chapter.iter().map(|one| {
            let status = match one.standing {
                Standing::AsExpected => TestCaseStatus::success(),
                Standing::NotMeasured | Standing::Inconclusive => TestCaseStatus::skipped(),
                Standing::Flipped => {
                    let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    failed.set_message(format!(
                        "expected to {}, and it is not so any more",
                        one.expected.name()
                    ));
                    failed
                }
            };
            let mut case = TestCase::new(format!("{}: {}", one.id, one.article), status);
            case.set_system_out(&one.because);
            case
        }));
        report.add_test_suite(suite);
    }
    write_report(&report, path)
}

/// Checks that the file can be written, before a run rather than after it.
pub fn can_be_written(path: &Path) -> anyhow::Result<()> {
    let opened = std::fs::File::options().create(true).append(true).open(path);
    opened.map(|_| ()).with_context(|| format!("write {}", path.display()))
}

fn case(run: &RunDocument, claim: &ClaimResult) -> TestCase {
    let status = match claim.verdict {
        Verdict::Holds => TestCaseStatus::success(),
        Verdict::Inconclusive | Verdict::Skipped => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(claim.because.as_deref().unwrap_or("not judged"));
            skipped
        }
        Verdict::Fails => {
            let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failed.set_message(super::terminal::figures(claim));
            failed
        }
    };
    let mut case = TestCase::new(&claim.claim, status);
    case.set_classname(format!("{}.{}", run.chapter, claim.step));
    case.time = time_of(&claim.step, &run.findings.steps, run.findings.ended);
    let outcome = match claim.verdict {
        Verdict::Holds if claim.is_refuted_as_expected() => "refuted as expected",
        Verdict::Holds => "confirmed",
        Verdict::Fails => "failed",
        Verdict::Inconclusive => "not judged",
        Verdict::Skipped => "skipped",
    };
    case.add_property(("outcome", outcome));
    case.set_system_out(super::terminal::figures(claim));
    case
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_takes_until_the_next_one_begins() {
        let steps = [("calm".to_owned(), 1.0), ("busy".to_owned(), 3.5)];
        assert_eq!(time_of("calm", &steps, 9.0), Some(Duration::from_millis(2500)));
        assert_eq!(time_of("busy", &steps, 9.0), Some(Duration::from_millis(5500)));
        assert_eq!(time_of("gone", &steps, 9.0), None);
    }
}
