//! Reports a run to a forge's CI beside the log: GitHub's job summary and annotations, if its variables are
//! set. (GitLab shows the JUnit file.)

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::terminal::figures;
use crate::results::Summary;
use crate::runner::{ClaimResult, RunDocument, Verdict};
use lab::error::LabError;

/// GitHub accepts at most 1 MiB per step, and shows nothing of a longer summary.
const SUMMARY_MAX: usize = 1 << 20;
/// GitHub shows ten annotations of each kind per step.
const ANNOTATIONS_MAX: usize = 10;

/// The channels through which a forge receives results.
#[derive(Debug, Default)]
pub struct Forge {
    /// Whether workflow commands in the log become annotations.
    annotates: bool,
    /// The file to which the job summary is appended.
    summary: Option<PathBuf>,
}

impl Forge {
    /// Reads the variables that GitHub Actions, Gitea and Forgejo set for each step.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            annotates: variable("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
            summary: variable("GITHUB_STEP_SUMMARY").map(PathBuf::from),
        }
    }

    /// Reports the runs of a command.
    pub fn report(&self, summary: &Summary) {
        self.annotate(&annotations(summary));
        let Some(path) = self.summary.as_deref().filter(|_| !summary.runs.is_empty()) else { return };
        if let Err(error) = append(path, &markdown(summary)) {
            // The verdict does not depend on it.
            warn(&format!("the job summary could not be written: {error:#}"));
        }
    }

    /// Reports that a command could not be carried out.
    pub fn report_error(&self, error: &LabError) {
        self.annotate(&[annotation(error_level(error), "labctl run", &error.to_string())]);
    }

    fn annotate(&self, lines: &[String]) {
        if self.annotates {
            // Standard output may be for data. The forge reads both.
            lines.iter().for_each(|line| warn(line));
        }
    }
}

fn warn(line: &str) {
    // If standard error is broken too, there is nowhere left to report it.
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let opened = File::options().create(true).append(true).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| path.display().to_string())
}

/// Returns the severity of an error; an inconclusive run is not a failure.
fn error_level(error: &LabError) -> &'static str {
    if error.code() == lab::error::EXIT_INCONCLUSIVE { "warning" } else { "error" }
}

/// Returns a line for each claim that does not hold: an error for one that fails, a warning for one that could
/// not be judged.
fn annotations(summary: &Summary) -> Vec<String> {
    let of_verdict = |verdict, level| {
        let claims =
            summary.runs.iter().flat_map(|run| run.findings.claims.iter().map(move |claim| (run, claim)));
        claims.filter(move |(_, claim)| claim.verdict == verdict).take(ANNOTATIONS_MAX).map(
            move |(run, claim)| {
                let title = format!("{}: {}", run.chapter, claim.claim);
                annotation(level, &title, &reason(claim))
            },
        )
    };
    of_verdict(Verdict::Fails, "error").chain(of_verdict(Verdict::Inconclusive, "warning")).collect()
}

/// Returns the workflow command that makes an annotation.
fn annotation(level: &str, title: &str, message: &str) -> String {
    let escaped = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let title = escaped(title).replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={title}::{}", escaped(message))
}

fn reason(claim: &ClaimResult) -> String {
    let because = claim.because.as_ref().map_or(String::new(), |because| format!(" ({because})"));
    format!("{}{because}", figures(claim))
}

/// Writes the job summary: a row for each chapter, then what does not hold, then every claim.
fn markdown(summary: &Summary) -> String {
    let mut text = format!("## Scaling Lab: {}\n\n", word(summary.verdict));
    text += "| chapter | verdict | claims | seconds | seed |\n|---|---|---|---|---|\n";
    for run in &summary.runs {
        let claims = &run.findings.claims;
        let hold = claims.iter().filter(|claim| claim.verdict == Verdict::Holds).count();
        let (title, verdict) = (inline(&run.title), word(run.verdict));
        let _ = writeln!(
            text,
            "| {title} | {verdict} | {hold}/{} | {:.0} | {} |",
            claims.len(),
            run.seconds,
            run.seed
        );
    }
    for run in &summary.runs {
        let section = section(run);
        if text.len() + section.len() > SUMMARY_MAX {
            break;
        }
        text += &section;
    }
    text
}

fn section(run: &RunDocument) -> String {
    let row = |claim: &ClaimResult| {
        format!("| {} | {} | {} |\n", word(claim.verdict), inline(&claim.claim), inline(&reason(claim)))
    };
    const HEAD: &str = "| verdict | claim | figures |\n|---|---|---|\n";
    let doubtful: String =
        run.findings.claims.iter().filter(|claim| claim.verdict > Verdict::Holds).map(row).collect();
    let mut text = String::new();
    if !doubtful.is_empty() {
        let _ = write!(text, "\n### {}\n\n{HEAD}{doubtful}", inline(&run.title));
    }
    let all: String = run.findings.claims.iter().map(row).collect();
    let title = inline(&run.title);
    let _ = write!(text, "\n<details><summary>{title}: every claim</summary>\n\n{HEAD}{all}\n</details>\n");
    text
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Skipped => "– skipped",
        Verdict::Holds => "✓ holds",
        Verdict::Inconclusive => "? inconclusive",
        Verdict::Fails => "✗ fails",
    }
}

/// Escapes text for a table cell, so that nothing in it acts as Markdown or HTML.
fn inline(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => shown += "&amp;",
            '<' => shown += "&lt;",
            '>' => shown += "&gt;",
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => shown.extend(['\\', letter]),
            letter if letter.is_control() => shown.push(' '),
            letter => shown.push(letter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::summary::worst;
    use crate::runner::RUN_SCHEMA;

    /// Returns a claim with this verdict.
    fn claim(claim: &str, verdict: Verdict) -> ClaimResult {
        serde_json::from_value(serde_json::json!({
            "step": "half", "claim": claim, "measure": "failed(half)", "measured": 3.0, "parts": [],
            "bound": { "low": 0.0, "high": 0.0 }, "unit": "", "expected": "confirm", "verdict": verdict
        }))
        .expect("it is a claim")
    }

    /// Returns a run with these claims.
    fn run(claims: Vec<ClaimResult>) -> RunDocument {
        let verdict = worst(claims.iter().map(|claim| claim.verdict));
        let mut run: RunDocument = serde_json::from_value(serde_json::json!({
            "schema": RUN_SCHEMA, "chapter": "one-machine", "title": "Everything on one machine", "verdict": verdict,
            "began": "2026-11-25T10:00:00Z", "seconds": 30.0, "seed": 42, "pace": "quick", "hardware": "emulated",
            "claims": [], "ended": 29.0, "generator_lag_p99_ms": 0.2
        }))
        .expect("it is a run");
        run.findings.claims = claims;
        run
    }

    fn summary(claims: Vec<ClaimResult>) -> Summary {
        Summary::of(vec![run(claims)])
    }

    #[test]
    fn failures_are_errors_and_what_could_not_be_judged_a_warning() {
        let claims = vec![
            claim("It holds.", Verdict::Holds),
            claim("Busy.", Verdict::Inconclusive),
            claim("None, at 50 %: fails", Verdict::Fails),
        ];
        let lines = annotations(&summary(claims));
        let error =
            "::error title=one-machine%3A None%2C at 50 %25%3A fails::measured 3 failed; wanted 0 failed";
        assert_eq!(lines[0], error);
        assert!(lines[1].starts_with(
            "::warning title=one-machine%3A Busy.::measured 3 failed; wanted 0 failed; not judged"
        ));
        assert_eq!(lines.len(), 2, "nothing is said of what holds");
    }

    #[test]
    fn a_line_break_ends_no_annotation() {
        assert_eq!(annotation("error", "a\nb", "c\r\n::d"), "::error title=a%0Ab::c%0D%0A::d");
    }

    #[test]
    fn annotations_are_as_many_as_are_shown() {
        let many = (0..25).map(|number| claim(&number.to_string(), Verdict::Fails)).collect();
        assert_eq!(annotations(&summary(many)).len(), 10);
    }

    #[test]
    fn an_error_is_as_bad_as_its_exit_code() {
        assert_eq!(error_level(&LabError::Unsteady("busy".into())), "warning");
        assert_eq!(error_level(&LabError::NotReady("no port".into())), "error");
    }

    #[test]
    fn the_summary_says_first_what_does_not_hold() {
        let claims = vec![claim("It holds.", Verdict::Holds), claim("A|B <b>`x`", Verdict::Fails)];
        let text = markdown(&summary(claims));
        assert!(text.starts_with("## Scaling Lab: ✗ fails\n\n| chapter |"), "{text}");
        assert!(text.contains("| Everything on one machine | ✗ fails | 1/2 | 30 | 42 |"), "{text}");
        assert!(
            text.contains("| ✗ fails | A\\|B &lt;b&gt;\\`x\\` | measured 3 failed; wanted 0 failed |"),
            "{text}"
        );
        let (first, all) = (text.find("A\\|B").unwrap(), text.find("<details>").unwrap());
        assert!(first < all && text[all..].contains("| ✓ holds | It holds. |"), "{text}");
    }

    #[test]
    fn a_summary_is_never_longer_than_what_is_shown() {
        let long = summary(vec![claim(&"long ".repeat(100_000), Verdict::Holds); 3]);
        let text = markdown(&long);
        assert!(text.len() < SUMMARY_MAX && text.contains("| Everything on one machine |"));
    }
}
