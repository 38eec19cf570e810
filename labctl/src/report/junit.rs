//! A summary as JUnit XML, for CI systems that show it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::audit::{Audit, Class};
use crate::claims::{Judged, Standing};
use crate::results::Summary;
use crate::runner::{ClaimResult, Verdict};

/// Writes runs of chapters: a suite per chapter, a case per claim.
pub fn write(summary: &Summary, path: &Path) -> anyhow::Result<()> {
    let mut report = Report::new("scaling-lab");
    for run in &summary.runs {
        let mut suite = TestSuite::new(&run.chapter);
        suite.set_time(Duration::from_secs_f64(run.seconds));
        suite.add_test_cases(run.findings.claims.iter().map(case));
        report.add_test_suite(suite);
    }
    write_report(&report, path)
}

fn write_report(report: &Report, path: &Path) -> anyhow::Result<()> {
    let text = report.to_string().context("write JUnit XML")?;
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// Writes an audit: a suite per fault, a case per path. An outage, be it partial, and a loss are failures.
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

/// Writes how the article's sentences stand: a suite per heading, a case per sentence.
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

/// Whether the file can be made. Found out before a run rather than after it.
pub fn can_be_written(path: &Path) -> anyhow::Result<()> {
    let opened = std::fs::File::options().create(true).append(true).open(path);
    opened.map(|_| ()).with_context(|| format!("write {}", path.display()))
}

fn case(claim: &ClaimResult) -> TestCase {
    let status = match claim.verdict {
        Verdict::Holds => TestCaseStatus::success(),
        Verdict::Inconclusive | Verdict::Skipped => TestCaseStatus::skipped(),
        Verdict::Fails => {
            let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failed.set_message(super::terminal::figures(claim));
            failed
        }
    };
    let mut case = TestCase::new(format!("{}: {}", claim.step, claim.claim), status);
    case.set_system_out(super::terminal::figures(claim));
    case
}
