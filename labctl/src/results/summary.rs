//! The results of all runs of one command, as `--json` prints them.

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;

use crate::runner::{EventKind, Observer, RunDocument, RunEvent, Verdict};
use lab::error::{EXIT_FAILED, EXIT_INCONCLUSIVE};

/// The version of the document. It changes when a key's meaning does.
pub const SCHEMA: &str = "scaling-lab/runs/1";

/// All runs of one command.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Summary {
    /// [`SCHEMA`].
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// The worst verdict of all.
    pub verdict: Verdict,
    /// The runs, in the order in which they were made.
    pub runs: Vec<RunDocument>,
}

/// Collects the results of runs. If a chapter was run again, the last run counts.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Vec<RunDocument>>);

impl Kept {
    /// Returns the results collected so far.
    pub fn summary(&self) -> Summary {
        Summary::of(self.0.lock().clone())
    }
}

impl Observer for Kept {
    fn on(&self, event: &RunEvent<'_>) {
        match event.kind {
            EventKind::Ended(run) => self.0.lock().push(run.clone()),
            EventKind::OnceMore { .. } => drop(self.0.lock().pop()),
            _ => {}
        }
    }
}

impl Summary {
    /// Summarises these runs.
    pub fn of(runs: Vec<RunDocument>) -> Self {
        let verdict = worst(runs.iter().map(|run| run.verdict));
        Self { schema: SCHEMA, verdict, runs }
    }

    /// Returns the exit code that the contract promises.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Holds | Verdict::Skipped => 0,
            Verdict::Fails => EXIT_FAILED,
            Verdict::Inconclusive => EXIT_INCONCLUSIVE,
        }
    }
}

/// Returns the worst verdict; without any, `Holds`.
pub fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.max().unwrap_or(Verdict::Holds)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn of_a_chapter_that_is_run_again_the_last_run_counts() {
        let kept = Kept::default();
        let on = |kind: EventKind<'_>| kept.on(&RunEvent { at: Duration::ZERO, kind });
        let run = |verdict: &str| -> RunDocument {
            serde_json::from_value(serde_json::json!({
                "schema": "", "chapter": verdict, "title": "", "verdict": verdict, "began": "2026-11-25T10:00:00Z",
                "seconds": 1.0, "seed": 1, "pace": "quick", "hardware": "", "claims": [], "ended": 1.0,
                "generator_lag_p99_ms": 0.0
            }))
            .unwrap()
        };
        on(EventKind::Ended(&run("inconclusive")));
        on(EventKind::OnceMore { reason: "the host was busy" });
        on(EventKind::Ended(&run("holds")));
        on(EventKind::Ended(&run("fails")));
        let summary = kept.summary();
        let chapters: Vec<_> = summary.runs.iter().map(|run| run.chapter.as_str()).collect();
        assert_eq!((chapters, summary.exit_code()), (vec!["holds", "fails"], 1));
    }
}
