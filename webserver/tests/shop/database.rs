//! The part of the database's contract that the shop uses, with a hand on the tap: reads and writes
//! can be held back, each after it was carried out, so that "slow" needs no clock.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{StatusCode, header};
use machine::network::Network;
use machine::serving::{self, Limits};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) struct Database {
    pub(crate) address: SocketAddr,
    state: Arc<Records>,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

struct Records {
    records: Mutex<BTreeMap<String, (Bytes, u64)>>,
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
            versions: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            latest_reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            hold_reads: watch::Sender::new(false),
            hold_writes: watch::Sender::new(false),
            refuse_writes: watch::Sender::new(false),
        });
        let app = Router::new().route("/kv/{key}", get(read).put(write)).with_state(Arc::clone(&state));
        let listener = Network::tcp().bind(address).await.unwrap();
        let address = listener.local_address().unwrap();
        let stop = CancellationToken::new();
        let limits = Limits { drain: Duration::ZERO, ..Limits::default() };
        let serving = tokio::spawn(serving::serve(listener, app, limits, stop.clone()));
        Self { address, state, stop, serving }
    }

    /// Its address refuses connections from now on.
    pub(crate) async fn stop(self) -> SocketAddr {
        self.stop.cancel();
        self.serving.await.unwrap();
        self.address
    }

    /// Writes past the shop.
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
        Some((value, version)) => (
            [(header::ETAG, format!("\"1.{version}\"")), ("x-db-node".parse().unwrap(), "db-1".into())],
            value,
        )
            .into_response(),
        None => (StatusCode::NOT_FOUND, "{\"error\":\"not_found\",\"detail\":\"\"}").into_response(),
    }
}

async fn write(State(records): State<Arc<Records>>, Path(key): Path<String>, value: Bytes) -> Response {
    if *records.refuse_writes.borrow() {
        let refusal = "{\"error\":\"not_written\",\"detail\":\"there is no primary\"}";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "3")], refusal).into_response();
    }
    let version = records.put(&key, value);
    records.writes.fetch_add(1, Ordering::SeqCst);
    released(&records.hold_writes).await;
    (StatusCode::NO_CONTENT, [(header::ETAG, format!("\"1.{version}\""))]).into_response()
}

async fn released(hold: &watch::Sender<bool>) {
    // The sender lives as long as the state does.
    let _ = hold.subscribe().wait_for(|hold| !hold).await;
}
