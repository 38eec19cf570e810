//! The admin interface of the contract, for any adapted balancer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use machine::serving::guard::Guard;
use machine::serving::{self, Limits};
use machine::vitals::Vitals;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::board::Board;

/// The largest request body, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Timeout of a client of the interface.
const PATIENCE: Duration = Duration::from_secs(10);

/// A balancer whose upstreams can be changed while it runs.
pub(crate) trait Driver: Send + Sync + 'static {
    /// Adds an upstream, which need not be healthy yet.
    fn add(&self, name: &str, address: &str, weight: u32) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Drains an upstream, and removes it once its requests are done.
    fn remove(&self, name: &str) -> impl Future<Output = anyhow::Result<()>> + Send;
}

struct Admin<D> {
    board: Arc<Mutex<Board>>,
    driver: Arc<D>,
}

impl<D> Clone for Admin<D> {
    fn clone(&self) -> Self {
        Self { board: Arc::clone(&self.board), driver: Arc::clone(&self.driver) }
    }
}

#[derive(Deserialize)]
struct Newcomer {
    name: String,
    address: String,
    #[serde(default = "one")]
    weight: u32,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

type Answer = Result<Json<Value>, Response>;

/// Serves a balancer's admin interface at the address that the contract gives it.
pub(crate) async fn serve<D: Driver>(
    address: SocketAddr,
    board: &Arc<Mutex<Board>>,
    driver: Arc<D>,
    vitals: &Arc<Vitals>,
    stop: CancellationToken,
) -> anyhow::Result<JoinHandle<()>> {
    anyhow::ensure!(
        address.ip().is_loopback(),
        "--admin {address}: an adapter has no token to ask for, so its admin interface is on loopback"
    );
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("listen on {address} (--admin)"))?;
    let admin = Admin { board: Arc::clone(board), driver };
    let limits = Limits {
        connections: 256,
        header_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        write_timeout: PATIENCE,
        drain: Duration::from_secs(1),
        ..Limits::default()
    };
    Ok(tokio::spawn(serving::serve(Box::new(listener), app(admin, vitals), limits, stop)))
}

fn app<D: Driver>(admin: Admin<D>, vitals: &Arc<Vitals>) -> Router {
    let guard = Guard::default();
    Router::new()
        .route("/upstreams", get(list::<D>).post(add::<D>))
        .route("/upstreams/{name}", delete(remove::<D>))
        .route("/events", get(events::<D>))
        .with_state(admin)
        .merge(vitals.routes())
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let allowed = guard.check(request.method(), request.uri(), request.headers());
            async move {
                match allowed {
                    Ok(()) => next.run(request).await,
                    Err(refused) => problem(StatusCode::FORBIDDEN, "not_allowed", &refused.to_string()),
                }
            }
        }))
}

async fn list<D: Driver>(State(admin): State<Admin<D>>) -> Json<Value> {
    Json(json!(admin.board.lock().upstreams()))
}

async fn add<D: Driver>(
    State(admin): State<Admin<D>>,
    body: axum::body::Bytes,
) -> Result<(StatusCode, Json<Value>), Response> {
    let newcomer: Newcomer = serde_json::from_slice(&body)
        .map_err(|error| problem(StatusCode::BAD_REQUEST, "bad_request", &format!("the body: {error}")))?;
    let Newcomer { name, address, weight } = newcomer;
    // These values end up in another program's configuration language, so they are validated first.
    let address = lb::upstream::Address::new(&name, &address)
        .map_err(|error| problem(StatusCode::BAD_REQUEST, "bad_request", &error.to_string()))?
        .address;
    if admin.board.lock().upstream(&name).is_some() {
        return Err(problem(
            StatusCode::CONFLICT,
            "exists",
            &format!("there is an upstream '{name}' already"),
        ));
    }
    admin.board.lock().add(&name, &address, now());
    if let Err(error) = admin.driver.add(&name, &address, weight).await {
        admin.board.lock().remove(&name, now());
        return Err(problem(StatusCode::BAD_GATEWAY, "refused", &format!("{error:#}")));
    }
    Ok((StatusCode::CREATED, Json(json!({ "name": name, "address": address }))))
}

async fn remove<D: Driver>(State(admin): State<Admin<D>>, Path(name): Path<String>) -> Answer {
    if admin.board.lock().upstream(&name).is_none() {
        let detail = format!("no upstream is called '{name}'");
        return Err(problem(StatusCode::NOT_FOUND, "unknown_upstream", &detail));
    }
    admin.board.lock().drain(&name, now());
    let removed = admin.driver.remove(&name).await;
    removed.map_err(|error| problem(StatusCode::BAD_GATEWAY, "refused", &format!("{error:#}")))?;
    admin.board.lock().remove(&name, now());
    Ok(Json(json!({ "name": name, "drained": true })))
}

async fn events<D: Driver>(State(admin): State<Admin<D>>, Query(query): Query<After>) -> Json<Value> {
    Json(json!(admin.board.lock().events_after(query.after)))
}

fn problem(status: StatusCode, error: &str, detail: &str) -> Response {
    (status, Json(json!({ "error": error, "detail": detail }))).into_response()
}

/// Returns the Unix time in milliseconds.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
