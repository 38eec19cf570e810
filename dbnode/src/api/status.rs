//! Requests about the node itself: status, health and metrics.

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{Answer, Api, json, with_body};
use crate::replication::durability::Mode;
use crate::replication::member::{ClusterId, Incarnation, Name};
use crate::replication::role::Role;
use crate::replication::status::Replica;

#[derive(Serialize)]
struct Status<'a> {
    id: &'a str,
    /// Changes when a node begins with an empty data directory.
    incarnation: Incarnation,
    /// The cluster it belongs to; `None` until one is formed.
    cluster: Option<ClusterId>,
    role: Role,
    term: u64,
    primary: Option<&'a Name>,
    mode: &'static str,
    last_index: u64,
    committed_index: u64,
    applied_index: u64,
    /// The other members, as the primary knows them.
    replicas: Vec<Replica>,
    keys: usize,
    /// Batches synced to disk and writes acknowledged since the start.
    syncs: u64,
    writes: u64,
    /// True while the disk is full, as far as is known: writes are refused, or soon will be.
    no_room: bool,
    /// The disk usage of the log, in bytes, including the space held for its next segment.
    log_bytes: u64,
    /// The total number of writes truncated from this node's log; `discarded.jsonl` in its data
    /// directory lists them.
    discarded: u64,
}

impl Api {
    /// `GET /status`
    pub(super) fn status(&self) -> Answer {
        self.node.inspect(|core, now| {
            let status = Status {
                id: &self.config.id,
                incarnation: self.about.incarnation,
                cluster: core.membership().map(|membership| membership.cluster),
                role: core.role(),
                term: core.term(),
                primary: core.primary(),
                mode: self.about.mode.map_or("single", Mode::name),
                last_index: core.last_index(),
                committed_index: core.committed_index(),
                applied_index: core.state().applied(),
                replicas: core.replicas(now),
                keys: core.state().len(),
                syncs: self.metrics.syncs.get(),
                writes: self.metrics.writes.get(),
                no_room: core.has_no_room(),
                log_bytes: self.about.log.bytes(),
                discarded: core.discarded(),
            };
            json(StatusCode::OK, &status)
        })
    }

    /// `GET /healthz`
    pub(super) fn health(&self) -> Answer {
        let (role, is_fit) = self.node.inspect(|core, _| (core.role(), core.is_fit()));
        let (status, says) = match role {
            Role::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopped"),
            _ if !self.vitals.is_fit() => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            _ if !is_fit => (StatusCode::SERVICE_UNAVAILABLE, "waiting for the other members"),
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
