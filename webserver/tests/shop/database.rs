//! A fake database: the part of the contract that the shop uses, with control over its answers.
//! Reads and writes can be held back after they were carried out, so that "slow" needs no clock.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use dbclient::Version;
use http::{HeaderMap, HeaderName, StatusCode, header};
use machine::network::Network;
use machine::serving::{self, Limits};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const NODE: HeaderName = HeaderName::from_static("x-db-node");
const LAG: HeaderName = HeaderName::from_static("x-lag-ms");

pub(crate) struct Database {
    pub(crate) address: SocketAddr,
    state: Arc<Records>,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

struct Records {
    records: Mutex<BTreeMap<String, (Bytes, u64)>>,
    /// The results of additions with an idempotency key.
    named: Mutex<BTreeMap<String, (i64, u64)>>,
    versions: AtomicU64,
    reads: AtomicU64,
    latest_reads: AtomicU64,
    writes: AtomicU64,
    hold_reads: watch::Sender<bool>,
    hold_writes: watch::Sender<bool>,
    refuse_writes: watch::Sender<bool>,
}

impl Database {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let state = Arc::new(Records {
            records: Mutex::default(),
            named: Mutex::default(),
            versions: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            latest_reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            hold_reads: watch::Sender::new(false),
            hold_writes: watch::Sender::new(false),
            refuse_writes: watch::Sender::new(false),
        });
        let app = Router::new()
            .route("/kv/{key}", get(read).put(write))
            .route("/kv/{key}/add", post(add))
            .with_state(Arc::clone(&state));
        let listener = Network::tcp().bind(address).await.unwrap();
        let address = listener.local_address().unwrap();
        let stop = CancellationToken::new();
        let limits = Limits { drain: Duration::ZERO, ..Limits::default() };
        let serving = tokio::spawn(serving::serve(listener, app, limits, stop.clone()));
        Self { address, state, stop, serving }
    }

    /// Stops it; its address refuses connections from then on.
    pub(crate) async fn stop(self) -> SocketAddr {
        self.stop.cancel();
        self.serving.await.unwrap();
        self.address
    }

    /// Writes directly, without the shop.
    pub(crate) fn put(&self, key: &str, value: &str) {
        self.state.put(key, Bytes::from(value.to_owned()));
    }

    pub(crate) fn reads(&self) -> u64 {
        self.state.reads.load(Ordering::SeqCst)
    }

    pub(crate) fn latest_reads(&self) -> u64 {
        self.state.latest_reads.load(Ordering::SeqCst)
    }

    pub(crate) fn writes(&self) -> u64 {
        self.state.writes.load(Ordering::SeqCst)
    }

    pub(crate) fn hold_reads(&self, hold: bool) {
        self.state.hold_reads.send_replace(hold);
    }

    pub(crate) fn hold_writes(&self, hold: bool) {
        self.state.hold_writes.send_replace(hold);
    }

    pub(crate) fn refuse_writes(&self) {
        self.state.refuse_writes.send_replace(true);
    }
}

impl Records {
    fn put(&self, key: &str, value: Bytes) -> u64 {
        let version = 1 + self.versions.fetch_add(1, Ordering::SeqCst);
        self.records.lock().unwrap().insert(key.to_owned(), (value, version));
        version
    }
}

async fn read(
    State(records): State<Arc<Records>>,
    Path(key): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let found = records.records.lock().unwrap().get(&key).cloned();
    if query["read"] == "latest" {
        records.latest_reads.fetch_add(1, Ordering::SeqCst);
    }
    records.reads.fetch_add(1, Ordering::SeqCst);
    released(&records.hold_reads).await;
    match found {
        Some((value, version)) => {
            let headers = [(header::ETAG, etag(version)), (NODE, "db-1".into()), (LAG, "7".into())];
            (headers, value).into_response()
        }
        None => {
            let body = "{\"error\":\"not_found\",\"detail\":\"\"}";
            (StatusCode::NOT_FOUND, [(NODE, "db-1")], body).into_response()
        }
    }
}

async fn add(
    State(records): State<Arc<Records>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let addition: BTreeMap<String, i64> = serde_json::from_slice(&body).unwrap();
    if *records.refuse_writes.borrow() {
        return refusal();
    }
    let name = headers.get("idempotency-key").map(|name| name.to_str().unwrap().to_owned());
    let known = name.as_ref().and_then(|name| records.named.lock().unwrap().get(name).copied());
    let (value, version) = known.unwrap_or_else(|| {
        let before = records.records.lock().unwrap().get(&key).map_or(0, |(value, _)| number(value));
        let value = before + addition["by"];
        (value, records.put(&key, Bytes::from(value.to_string())))
    });
    records.named.lock().unwrap().extend(name.map(|name| (name, (value, version))));
    records.writes.fetch_add(1, Ordering::SeqCst);
    released(&records.hold_writes).await;
    Json(serde_json::json!({ "value": value, "version": Version::of(1, version) })).into_response()
}

fn number(value: &Bytes) -> i64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

async fn write(State(records): State<Arc<Records>>, Path(key): Path<String>, value: Bytes) -> Response {
    if *records.refuse_writes.borrow() {
        return refusal();
    }
    let version = records.put(&key, value);
    records.writes.fetch_add(1, Ordering::SeqCst);
    released(&records.hold_writes).await;
    (StatusCode::NO_CONTENT, [(header::ETAG, etag(version))]).into_response()
}

/// Returns the ETag of the n-th version of the first term.
fn etag(version: u64) -> String {
    Version::of(1, version).etag()
}

fn refusal() -> Response {
    let refusal = "{\"error\":\"not_written\",\"detail\":\"there is no primary\"}";
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "3")], refusal).into_response()
}

async fn released(hold: &watch::Sender<bool>) {
    // The sender lives as long as the state does.
    let _ = hold.subscribe().wait_for(|hold| !hold).await;
}
