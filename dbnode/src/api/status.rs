//! What the node says about itself.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{Answer, Api, json, with_body};
use crate::replication::role::Role;

#[derive(Serialize)]
struct Status<'a> {
    id: &'a str,
    /// Changes when a node begins with an empty data directory.
    incarnation: &'a str,
    role: Role,
    term: u64,
    primary: Option<&'a str>,
    mode: &'static str,
    last_index: u64,
    committed_index: u64,
    applied_index: u64,
    /// There are none yet.
    replicas: [(); 0],
    keys: usize,
    /// Batches synced to the disk, and writes acknowledged, since the start.
    syncs: u64,
    writes: u64,
}

impl Api {
    /// `GET /status`
    pub(super) fn status(&self) -> Answer {
        let id = self.config.id.as_str();
        self.node.inspect(|core| {
            let status = Status {
                id,
                incarnation: &self.incarnation,
                role: core.role(),
                term: core.term(),
                primary: (core.role() == Role::Primary).then_some(id),
                mode: "single",
                last_index: core.last_index(),
                committed_index: core.committed_index(),
                applied_index: core.state().applied(),
                replicas: [],
                keys: core.state().len(),
                syncs: self.metrics.syncs.get(),
                writes: self.metrics.writes.get(),
            };
            json(StatusCode::OK, &status)
        })
    }

    /// `GET /healthz`
    pub(super) fn health(&self) -> Answer {
        let (status, says) = match self.node.inspect(|core| core.role()) {
            Role::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopped"),
            _ if !self.vitals.is_fit() => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            _ => (StatusCode::OK, "ok"),
        };
        json(status, &serde_json::json!({ "status": says }))
    }

    /// `GET /metrics`
    pub(super) fn show_metrics(&self) -> Answer {
        let mut answer = with_body(StatusCode::OK, self.vitals.render().into());
        let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(format));
        answer
    }
}
