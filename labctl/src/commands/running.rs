//! Requests to the running lab.

use std::path::{Path, PathBuf};

use super::common::Common;
use chapter::Source;
use lab::control::{self, ControlRequest, ControlResponse};
use lab::error::LabError;
use lab::http::Client;
use lab::plan::Deployment;
use lab::state;
use lab::{MachineStatus, Plan};

/// Asks the running lab; a refusal becomes an error.
pub(super) async fn ask(common: &Common, question: &ControlRequest) -> Result<ControlResponse, LabError> {
    match control::ask(&common.site.lab_dir, question).await? {
        ControlResponse::Refused(reason, code) => Err(LabError::reported(code, reason)),
        answer => Ok(answer),
    }
}

/// Returns the running lab's chapter, the directory of its logs, and its machines.
pub(super) async fn status(common: &Common) -> Result<(String, PathBuf, Vec<MachineStatus>), LabError> {
    match ask(common, &ControlRequest::Status).await? {
        ControlResponse::Status { chapter, logs, machines } => Ok((chapter, logs, machines)),
        other => Err(LabError::Broken(anyhow::anyhow!(
            "the lab answered {other:?} to a question about its status"
        ))),
    }
}

/// Returns the command that addresses the running lab: `labctl`, with `--lab-dir` if it is not the default.
pub(super) fn command(common: &Common) -> String {
    let directory = &common.site.lab_dir;
    match directory == Path::new(".lab") {
        true => "labctl".into(),
        false => format!("labctl --lab-dir {}", directory.display()),
    }
}

/// Returns the running lab's chapter, and its plan at the start.
pub(super) fn chapter(common: &Common) -> Result<(Source, Plan), LabError> {
    let state = control::running(&common.site.lab_dir)?;
    let source = Source::open(&state::chapter_file(&common.site.lab_dir).to_string_lossy(), &[])?;
    let mut deployment = Deployment {
        backend: state.backend,
        network: state.network,
        port_shift: state.port_shift,
        data: common.site.lab_dir.join("data"),
        redis_url: None,
        client: Client::without_token(),
    };
    if let Some(token) = deployment.admin_token_file() {
        let token = std::fs::read_to_string(&token)
            .map_err(|error| LabError::not_ready(format!("cannot read {}: {error}", token.display())))?;
        deployment.client = Client::with_token(&token);
    }
    let plan = Plan::of(&source.chapter, deployment).map_err(LabError::Usage)?;
    Ok((source, plan))
}
