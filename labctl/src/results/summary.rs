//! A run as data: what `--json` prints and `summary.json` holds.

use std::path::PathBuf;

use serde::Serialize;

use crate::runner::{Findings, Pace, Verdict};
use lab::Backend;
use lab::error::{EXIT_FAILED, EXIT_INCONCLUSIVE};

/// The version of what is printed. It changes when a key's meaning does.
pub const SCHEMA: &str = "scaling-lab/runs/1";

/// The version of one run's summary.
pub const RUN_SCHEMA: &str = "scaling-lab/run/1";

/// All runs of one command.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The worst verdict of all.
    pub verdict: Verdict,
    /// The runs, in the order they were made.
    pub runs: Vec<RunSummary>,
}

/// One run of one chapter.
#[derive(Debug, Clone, Serialize)]
pub struct RunSummary {
    /// [`RUN_SCHEMA`].
    pub schema: &'static str,
    /// The chapter's short name.
    pub chapter: String,
    /// Its title.
    pub title: String,
    /// The worst verdict of its claims.
    pub verdict: Verdict,
    /// When it began.
    pub began: jiff::Timestamp,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The seed of its dice.
    pub seed: u64,
    /// How long was measured.
    pub pace: Pace,
    /// The hardware that was measured on: `emulated` machines on this host.
    pub hardware: &'static str,
    /// What the verdicts rest on besides the chapter.
    pub set_up: SetUp,
    /// What was found.
    #[serde(flatten)]
    pub findings: Findings,
    /// Where the rest is.
    pub directory: PathBuf,
}

/// What a run's verdicts rest on besides its chapter's file.
#[derive(Debug, Clone, Serialize)]
pub struct SetUp {
    /// The version of labctl.
    pub labctl: &'static str,
    /// What its machines were made of.
    pub backend: Backend,
    /// The values of the chapter that were changed (`--set`).
    pub settings: Vec<String>,
    /// The cores of the computer, those of its other programs included.
    pub host_cores: usize,
    /// Which run of the chapter it was, from 1: one that the host disturbed is made again.
    pub attempt: u32,
}

impl RunSummary {
    /// Why its chapter is worth another run, if it is.
    pub fn why_once_more(&self) -> Option<String> {
        once_more(self.verdict, &self.findings.disturbances)
    }
}

/// Why a chapter is worth another run, if it is: nothing could be said, or something failed while the host was
/// busy with something else.
fn once_more(verdict: Verdict, disturbances: &[String]) -> Option<String> {
    match (verdict, disturbances) {
        (Verdict::Inconclusive, _) => {
            Some("The host was too busy for some of the measurements. Once more.".into())
        }
        (Verdict::Fails, [disturbance, ..]) => Some(format!(
            "Before it is called a failure: once more, for the run was disturbed ({disturbance})."
        )),
        (Verdict::Holds | Verdict::Skipped, _) | (Verdict::Fails, []) => None,
    }
}

impl Summary {
    /// Of these runs.
    pub fn of(runs: Vec<RunSummary>) -> Self {
        let verdict = worst(runs.iter().map(|run| run.verdict));
        Self { schema: SCHEMA, verdict, runs }
    }

    /// The exit code that the contract promises.
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Holds | Verdict::Skipped => 0,
            Verdict::Fails => EXIT_FAILED,
            Verdict::Inconclusive => EXIT_INCONCLUSIVE,
        }
    }
}

/// The worst of several verdicts; of none, that it holds.
pub fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.max().unwrap_or(Verdict::Holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_in_a_disturbed_run_is_tried_once_more() {
        let disturbed = ["half: the load generator was late".to_owned()];
        assert_eq!(once_more(Verdict::Fails, &[]), None, "nothing was in its way");
        assert!(once_more(Verdict::Fails, &disturbed).unwrap().contains("half: the load generator was late"));
        assert!(once_more(Verdict::Inconclusive, &[]).is_some());
        assert_eq!(once_more(Verdict::Holds, &disturbed), None);
    }
}
