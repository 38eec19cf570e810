//! The admin interface: list, add, drain and remove upstreams while requests flow.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt, stream};
use http_body_util::LengthLimitError;
use machine::vitals::Vitals;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;

use crate::admin_guard::Guard;
use crate::choose::{Policy, PolicyName};
use crate::events::{Event, unix_ms};
use crate::pair::Handle;
use crate::pair::keeper::Partner;
use crate::upstream::fleet::Fleet;
use crate::upstream::table::{Report, Snapshot};
use crate::upstream::{Address, AddressError, Upstream, WEIGHT_MAX, slow_start};

/// The largest request body, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The state behind the interface.
#[derive(Debug)]
pub struct Admin {
    /// The upstreams and their checks.
    pub fleet: Fleet,
    /// The balancing policy.
    pub policy: Arc<Policy>,
    /// The handle to the pair, if this balancer has a peer.
    pub pair: Option<Arc<Handle>>,
    /// How long an upstream that is removed may take to finish its requests.
    pub drain_timeout: Duration,
    /// Ends the streams of events.
    pub stop: CancellationToken,
}

/// The interface behind its guard. Reading a request's body may take as long as `patience`.
pub fn app(admin: Arc<Admin>, vitals: &Arc<Vitals>, guard: Guard, patience: Duration) -> Router {
    Router::new()
        .route("/upstreams", get(list).post(add))
        .route("/upstreams/{name}", patch(change).delete(remove))
        .route("/policy", get(policy).put(set_policy))
        .route("/pair", get(pair))
        .route("/events", get(events))
        .with_state(admin)
        .merge(vitals.routes())
        .fallback(async || problem(StatusCode::NOT_FOUND, "not_found", "there is nothing here"))
        .method_not_allowed_fallback(async |request: Request| {
            let detail = format!("{} is not allowed here", request.method());
            problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        })
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let allowed = guard.check(request.method(), request.headers());
            async move {
                if let Err((status, detail)) = allowed {
                    return problem(status, "not_allowed", detail).into_response();
                }
                match with_whole_body(request, patience).await {
                    Ok(request) => next.run(request).await,
                    Err(problem) => ([(header::CONNECTION, "close")], problem).into_response(),
                }
            }
        }))
}

/// Reads a request's body completely before routing, within limits: a client that sends half of its
/// body would otherwise hold its connection for ever.
async fn with_whole_body(request: Request, patience: Duration) -> Result<Request, Problem> {
    let (head, body) = request.into_parts();
    match timeout(patience, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(head, Body::from(bytes))),
        Ok(Err(error)) => {
            let too_large = error.source().is_some_and(|error| error.is::<LengthLimitError>());
            let (status, detail) = match too_large {
                true => (StatusCode::PAYLOAD_TOO_LARGE, "the body: more than 64 KiB"),
                false => (StatusCode::BAD_REQUEST, "the body: it broke off or is malformed"),
            };
            Err(problem(status, "bad_request", detail))
        }
        Err(_) => {
            Err(problem(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body was not sent in time"))
        }
    }
}

async fn list(State(admin): State<Arc<Admin>>) -> Json<Vec<Value>> {
    let snapshot = admin.fleet.table.snapshot();
    Json(admin.fleet.table.report().iter().map(|report| describe(report, &snapshot, &admin.policy)).collect())
}

fn describe(report: &Report, snapshot: &Snapshot, policy: &Policy) -> Value {
    let upstream = &report.upstream;
    let check = report.last_check.as_ref().map(|check| {
        json!({
            "passed": check.result.is_ok(),
            "detail": check.result.as_ref().err().map(|fault| &fault.detail),
            "unix_ms": unix_ms(check.at),
        })
    });
    let is_it = |other: &Arc<Upstream>| other.id == upstream.id;
    let candidate = snapshot.pool.candidates().iter().find(|candidate| is_it(&candidate.upstream));
    json!({
        "name": upstream.name,
        "address": upstream.address,
        "state": report.state,
        "breaker": report.breaker.label(),
        "in_rotation": candidate.is_some(),
        "next": policy.peek_next(&snapshot.pool).is_some_and(is_it),
        "weight": report.weight,
        // Below its weight during slow start, 0 while it is out of rotation.
        "effective_weight":
            candidate.map_or(0.0, |candidate| f64::from(candidate.share) / f64::from(slow_start::STEPS)),
        "in_flight": upstream.in_flight(),
        "requests": upstream.requests(),
        "failed": upstream.failed(),
        "ejections": upstream.ejections(),
        "last_check": check,
    })
}

/// Shows how the next requests will be spread: the order of turns from the next one on, truncated if
/// it is long.
async fn policy(State(admin): State<Arc<Admin>>) -> Json<Value> {
    const ORDER_MAX: usize = 100;
    let (snapshot, policy) = (admin.fleet.table.snapshot(), &admin.policy);
    Json(json!({
        "policy": policy.name(),
        "turns_taken": policy.turns_taken(),
        "next": policy.peek_next(&snapshot.pool).map(|upstream| &upstream.name),
        "order": snapshot.pool.order_from(policy.turns_taken()).take(ORDER_MAX).collect::<Vec<_>>(),
        "panic": snapshot.panic,
    }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPolicy {
    policy: PolicyName,
}

async fn set_policy(State(admin): State<Arc<Admin>>, body: Bytes) -> Result<Json<Value>, Problem> {
    let NewPolicy { policy: name } = parse(&body)?;
    admin
        .policy
        .switch_to(name)
        .map_err(|error| problem(StatusCode::CONFLICT, "not_while_running", error))?;
    Ok(policy(State(admin)).await)
}

async fn pair(State(admin): State<Arc<Admin>>) -> Result<Json<Value>, Problem> {
    let Some(pair) = &admin.pair else {
        return Err(problem(StatusCode::NOT_FOUND, "not_paired", "this balancer has no --pair-id"));
    };
    let status = pair.status();
    let ms = |since: Instant| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    let partner = status.partner.map(|Partner { advert, heard }| {
        json!({
            "id": advert.id, "priority": advert.priority, "said": advert.saying, "heard_ms_ago": ms(heard),
        })
    });
    Ok(Json(json!({
        "id": pair.id,
        "role": status.role,
        "since_ms": ms(status.since),
        "priority": pair.priority,
        "takeover": pair.takeover,
        "takeovers": pair.takeovers.load(Ordering::Relaxed),
        "partner": partner,
    })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUpstream {
    name: String,
    address: String,
    #[serde(default = "one")]
    weight: u32,
}

fn one() -> u32 {
    1
}

async fn add(State(admin): State<Arc<Admin>>, body: Bytes) -> Result<Response, Problem> {
    let new: NewUpstream = parse(&body)?;
    let address = Address::new(&new.name, &new.address)
        .and_then(|address| address.with_weight(new.weight))
        .map_err(|error| problem(StatusCode::BAD_REQUEST, "bad_request", error))?;
    admin.fleet.join(address).map_err(|error| problem(StatusCode::CONFLICT, "name_taken", error))?;
    let added = json!({ "name": new.name, "address": new.address });
    Ok((StatusCode::CREATED, Json(added)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpstreamPatch {
    drain: Option<bool>,
    weight: Option<u32>,
}

async fn change(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    let patch: UpstreamPatch = parse(&body)?;
    let mut done = json!({ "name": name });
    match patch {
        UpstreamPatch { drain: None, weight: None } => {
            return Err(problem(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "the body must contain 'drain' or 'weight'",
            ));
        }
        UpstreamPatch { weight: Some(weight), .. } if !(1..=WEIGHT_MAX).contains(&weight) => {
            return Err(problem(StatusCode::BAD_REQUEST, "bad_request", AddressError::Weight));
        }
        UpstreamPatch { drain, weight } => {
            if let Some(weight) = weight {
                admin.fleet.table.set_weight(&name, weight).ok_or_else(|| unknown(&name))?;
                done["weight"] = weight.into();
            }
            if let Some(drain) = drain {
                admin.fleet.table.set_draining(&name, drain).ok_or_else(|| unknown(&name))?;
                done["drain"] = drain.into();
            }
        }
    }
    Ok(Json(done).into_response())
}

async fn remove(State(admin): State<Arc<Admin>>, Path(name): Path<String>) -> Result<Response, Problem> {
    let (table, limit, called) = (Arc::clone(&admin.fleet.table), admin.drain_timeout, name.clone());
    // Spawned, so that it goes on if the client does not wait for the response.
    let removing = tokio::spawn(async move { table.drain_and_remove(&called, limit).await });
    let drained = removing.await.expect("removing does not panic and is not aborted");
    let drained = drained.ok_or_else(|| unknown(&name))?;
    Ok(Json(json!({ "name": name, "drained": drained })).into_response())
}

#[derive(Debug, Deserialize)]
struct EventsQuery {
    #[serde(default)]
    after: u64,
    format: Option<Format>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Sse,
}

async fn events(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) =
        query.map_err(|error| problem(StatusCode::BAD_REQUEST, "bad_request", error.body_text()))?;
    if let Some(Format::Json) = query.format {
        return Ok(Json(admin.fleet.events.after(query.after)).into_response());
    }
    let end = admin.stop.clone().cancelled_owned();
    let events = Sse::new(follow(&admin, query.after).take_until(end));
    Ok(events.keep_alive(KeepAlive::default()).into_response())
}

fn follow(
    admin: &Admin,
    after: u64,
) -> impl Stream<Item = Result<axum::response::sse::Event, Infallible>> + use<> {
    let (past, to_come) = admin.fleet.events.follow(after);
    // A client that lags a thousand events behind misses some; the sequence numbers show the gap.
    let to_come = BroadcastStream::new(to_come).filter_map(async |event| event.ok());
    stream::iter(past).chain(to_come).map(|event: Event| {
        let data = serde_json::to_string(&event).expect("an event always serializes");
        Ok(axum::response::sse::Event::default()
            .event(event.kind.label())
            .id(event.seq.to_string())
            .data(data))
    })
}

/// Any content type is accepted, because `curl -d` sends a wrong one. The guard keeps out the web
/// pages that could exploit this.
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| problem(StatusCode::BAD_REQUEST, "bad_request", format!("the body: {error}")))
}

fn unknown(name: &str) -> Problem {
    problem(StatusCode::NOT_FOUND, "unknown_upstream", format!("no upstream is called '{name}'"))
}

/// An error response.
struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

fn problem(status: StatusCode, code: &'static str, detail: impl ToString) -> Problem {
    Problem { status, code, detail: detail.to_string() }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.code, "detail": self.detail }))).into_response()
    }
}
