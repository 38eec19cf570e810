//! A run as data: what `--json` prints and `summary.json` holds. One struct for writing and for reading.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, Pace, Verdict};
use lab::Backend;

/// The version of a run's document. It changes when a key's meaning does.
pub const RUN_SCHEMA: &str = "scaling-lab/run/1";

/// One run of one chapter.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunDocument {
    /// [`RUN_SCHEMA`].
    #[schemars(extend("const" = RUN_SCHEMA))]
    pub schema: String,
    /// The chapter's short name.
    pub chapter: String,
    /// The chapter's title.
    pub title: String,
    /// The worst verdict of all claims.
    pub verdict: Verdict,
    /// When the run began.
    pub began: jiff::Timestamp,
    /// Duration of the run in seconds.
    pub seconds: f64,
    /// The random seed.
    pub seed: u64,
    /// How measurement times were scaled.
    pub pace: Pace,
    /// The hardware: `emulated` machines on this host.
    pub hardware: String,
    /// The conditions of the run besides the chapter.
    #[serde(default)]
    pub set_up: SetUp,
    /// The results.
    #[serde(flatten)]
    pub findings: Findings,
    /// The directory with the other files of the run.
    #[serde(default)]
    pub directory: PathBuf,
}

/// The conditions of a run besides its chapter's file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct SetUp {
    /// The version of labctl.
    pub labctl: String,
    /// How its machines were emulated.
    pub backend: Backend,
    /// Changed values of the chapter (`--set`).
    pub settings: Vec<String>,
    /// Number of cores of the computer, which other programs share.
    pub host_cores: usize,
    /// The attempt's number, from 1: a run that the host disturbed is repeated.
    pub attempt: u32,
}

impl RunDocument {
    /// Returns the number of claims that hold.
    pub fn held(&self) -> usize {
        self.findings.claims.iter().filter(|claim| claim.verdict == Verdict::Holds).count()
    }

    /// Explains why its chapter deserves another run, if it does.
    pub fn why_once_more(&self) -> Option<String> {
        once_more(self.verdict, &self.findings.disturbances)
    }
}

/// Explains why a chapter deserves another run, if it does: the run was inconclusive, or it failed while the
/// host was disturbed.
fn once_more(verdict: Verdict, disturbances: &[String]) -> Option<String> {
    match (verdict, disturbances) {
        (Verdict::Inconclusive, _) => {
            Some("The host was too busy for some of the measurements. Running it once more.".into())
        }
        (Verdict::Fails, [disturbance, ..]) => Some(format!(
            "The run was disturbed ({disturbance}). Running it once more before it counts as a failure."
        )),
        (Verdict::Holds | Verdict::Skipped, _) | (Verdict::Fails, []) => None,
    }
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

    /// Runs stored by earlier versions stay readable.
    #[test]
    fn a_document_without_what_came_later_is_read() {
        let kept = r#"{
            "schema": "scaling-lab/run/1", "chapter": "split", "title": "t", "verdict": "holds",
            "began": "2026-11-25T10:00:00Z", "seconds": 12.5, "seed": 42, "pace": "quick",
            "hardware": "emulated", "claims": [], "ended": 11.0, "generator_lag_p99_ms": 0.4
        }"#;
        let run: RunDocument = serde_json::from_str(kept).unwrap();
        assert_eq!((run.pace, run.findings.ended, run.held()), (Pace::Quick, 11.0, 0));
        let written: RunDocument = serde_json::from_value(serde_json::to_value(&run).unwrap()).unwrap();
        assert_eq!(written.findings.generator_lag_p99_ms, 0.4);
    }
}
