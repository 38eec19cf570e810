//! `labctl run --page`: the lab of a run on the live page, with steps and claims as they happen.

use std::net::SocketAddr;
use std::sync::Arc;

use super::common::Common;
use super::{by_hand, running};
use crate::report::gallery::Gallery;
use crate::runner::{EventKind, Findings, Observer, RunEvent, Verdict};
use crate::testbed::Testbed;
use chapter::Source;
use lab::error::LabError;
use machine::network::Accept;
use page::{Options, Page, RunLog, RunView};

/// The page of a command's runs: its address, and the events shown.
#[derive(Debug)]
pub(super) struct Shown {
    address: SocketAddr,
    log: RunLog,
}

impl Shown {
    /// Creates a page on this address.
    pub(super) fn new(address: SocketAddr) -> Result<Self, LabError> {
        page::check_address(address)?;
        Ok(Self { address, log: RunLog::default() })
    }

    /// Listens on the address for the page of the next run.
    pub(super) async fn listen(&self) -> Result<Box<dyn Accept>, LabError> {
        page::listen(self.address).await
    }

    /// Serves the page of a run whose machines are up.
    pub(super) fn serve(
        &self,
        listener: Box<dyn Accept>,
        source: &Source,
        bed: &Testbed,
        common: &Common,
        seed: u64,
    ) -> Result<Page, LabError> {
        let (recorder, streams) = (bed.generator.recorder().clone(), bed.streams.clone());
        let options = Options {
            source: source.clone(),
            traffics: by_hand::all(&source.chapter, &bed.lab.plan(), seed)?,
            labctl: running::command(common),
            directory: common.site.lab_dir.clone(),
            run: Some(RunView { recorder, streams, log: self.log.clone() }),
            results: Arc::new(Gallery::new(common.site.runs_dir.clone())),
        };
        Page::serve(&bed.lab, listener, options)
    }

    /// Shows the result before the page ends with the lab.
    pub(super) fn ended(&self, findings: Result<&Findings, &LabError>, at: f64) {
        let about = match findings {
            Ok(findings) => {
                let held = findings.claims.iter().filter(|claim| claim.verdict == Verdict::Holds).count();
                serde_json::json!({ "held": held, "claims": findings.claims.len() })
            }
            Err(error) => serde_json::json!({ "problem": error.to_string() }),
        };
        self.log.tell(serde_json::json!({ "at": at, "event": "ended", "about": about }));
    }
}

impl Observer for Shown {
    fn on(&self, event: &RunEvent<'_>) {
        match &event.kind {
            EventKind::Begins { .. } => self.log.begin(),
            EventKind::Live { doing, left, .. } => return self.log.doing(doing, left.as_secs_f64()),
            // The page gets these from the lab itself, and the end from `ended`.
            EventKind::Happened(_) | EventKind::Did { .. } | EventKind::Ended(_) => return,
            _ => {}
        }
        // Every event can be serialised; one that could not would be missing on the page only.
        if let Ok(event) = serde_json::to_value(event) {
            self.log.tell(event);
        }
    }
}
