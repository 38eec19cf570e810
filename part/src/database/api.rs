//! `/kv`, `/status`, `/healthz`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use dbclient::{Version, headers};
use dbnode::Config;
use dbnode::replication::key::Key;
use machine::Machine;
use machine::serving::guard::Guard;
use machine::vitals::Vitals;
use serde::Deserialize;
use serde_json::{Value, json};

use super::documents::{OfRecord, OfRecords, Problem, bad_request, problem, refused};
use super::{Action, Record, Store, Write, Written};

/// The largest value, in bytes.
const VALUE_BYTES_MAX: usize = 1 << 20;
/// The largest total size of the values in a list, in bytes: the list is cut off there.
const LIST_BYTES_MAX: usize = 4 << 20;

pub(super) struct Api<S> {
    config: Config,
    store: Arc<S>,
    machine: Machine,
    vitals: Arc<Vitals>,
}

impl<S> Api<S> {
    pub(super) fn new(config: Config, store: Arc<S>, machine: Machine, vitals: Arc<Vitals>) -> Self {
        Self { config, store, machine, vitals }
    }

    /// Charges the emulated machine for an operation on a key.
    async fn pay(&self) {
        let cost: Duration = self.config.query_cost;
        self.machine.cpu(cost).await;
    }
}

type Shared<S> = State<Arc<Api<S>>>;

pub(super) fn app<S: Store>(api: Api<S>) -> Router {
    let guard = Guard::named(api.config.host_names());
    let name = HeaderValue::try_from(api.config.id.as_str()).expect("a node's name is letters and digits");
    let vitals = api.vitals.routes();
    let api = Arc::new(api);
    Router::new()
        .route("/kv", get(list::<S>))
        .route("/kv/{key}", get(read::<S>).put(put::<S>).delete(delete::<S>))
        .route("/kv/{key}/add", post(add::<S>))
        .route("/status", get(status::<S>))
        .with_state(api)
        .merge(vitals)
        .layer(DefaultBodyLimit::max(VALUE_BYTES_MAX))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let allowed = guard.check(request.method(), request.uri(), request.headers());
            let name = name.clone();
            async move {
                let mut answer = match allowed {
                    Ok(()) => next.run(request).await,
                    Err(refused) => problem(StatusCode::FORBIDDEN, "not_allowed", &refused.to_string()),
                };
                answer.headers_mut().insert("x-db-node", name);
                answer
            }
        }))
}

async fn read<S: Store>(
    State(api): Shared<S>,
    place: Uri,
    Path(key): Path<String>,
    Query(query): Query<OfRecord>,
) -> Result<Response, Response> {
    let (key, read) = (checked(&key)?, query.read()?);
    api.pay().await;
    match api.store.get(key.as_str(), read).await {
        Ok(Some(Record { value, version })) => {
            let mut answer = value.into_response();
            answer.headers_mut().insert(header::ETAG, etag(version));
            Ok(answer)
        }
        Ok(None) => Err(problem(StatusCode::NOT_FOUND, "no_such_record", "there is no record with this key")),
        Err(refusal) => Err(refused(&refusal, &place.to_string())),
    }
}

async fn put<S: Store>(
    state: Shared<S>,
    place: Uri,
    key: Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let written = write(state, place, key, &headers, Action::Put(body)).await?;
    Ok(done(StatusCode::NO_CONTENT.into_response(), written))
}

async fn delete<S: Store>(
    state: Shared<S>,
    place: Uri,
    key: Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let written = write(state, place, key, &headers, Action::Delete).await?;
    Ok(done(StatusCode::NO_CONTENT.into_response(), written))
}

async fn add<S: Store>(
    state: Shared<S>,
    place: Uri,
    key: Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Addition {
        by: i64,
    }
    let Addition { by } = serde_json::from_slice(&body)
        .map_err(|error| bad_request("bad_body", &format!("the body is not {{\"by\": number}}: {error}")))?;
    let written = write(state, place, key, &headers, Action::Add(by)).await?;
    let body = json!({ "value": written.sum, "version": written.version });
    Ok(done(Json(body).into_response(), written))
}

async fn write<S: Store>(
    State(api): Shared<S>,
    place: Uri,
    Path(key): Path<String>,
    headers: &HeaderMap,
    action: Action,
) -> Result<Written, Response> {
    let key = checked(&key)?.as_str().to_owned();
    let condition = headers::condition(headers).map_err(Problem::from)?;
    let request = headers::idempotency_key(headers).map_err(Problem::from)?.map(str::to_owned);
    api.pay().await;
    let written = api.store.write(Write { key, action, condition, request }).await;
    written.map_err(|refusal| refused(&refusal, &place.to_string()))
}

async fn list<S: Store>(
    State(api): Shared<S>,
    place: Uri,
    Query(query): Query<OfRecords>,
) -> Result<Json<Value>, Response> {
    let list = query.list()?;
    let limit = list.limit;
    api.pay().await;
    let found = api.store.list(list).await.map_err(|refusal| refused(&refusal, &place.to_string()))?;
    let (mut bytes, mut records) = (0, Vec::new());
    let mut more = false;
    for (key, record) in found {
        if records.len() == limit || bytes > LIST_BYTES_MAX {
            more = true;
            break;
        }
        bytes += key.len() + record.value.len();
        records.push(listed(&key, &record));
    }
    Ok(Json(json!({ "records": records, "more": more })))
}

fn listed(key: &str, Record { value, version }: &Record) -> Value {
    match std::str::from_utf8(value) {
        Ok(value) => json!({ "key": key, "value": value, "version": version }),
        Err(_) => json!({ "key": key, "value_hex": hex::encode(value), "version": version }),
    }
}

async fn status<S: Store>(State(api): Shared<S>) -> Response {
    let Some(status) = api.store.status().await else {
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopped",
            "the program behind this does not answer",
        );
    };
    let mut document = serde_json::to_value(status).expect("texts and numbers always serialize");
    document["id"] = json!(api.config.id);
    document["committed_index"] = document["applied_index"].clone();
    document["mode"] = json!(api.config.cluster.as_ref().map_or("single", |cluster| cluster.mode.name()));
    Json(document).into_response()
}

fn checked(key: &str) -> Result<Key, Problem> {
    Key::new(key).map_err(|error| bad_request("bad_key", &error.to_string()))
}

fn done(mut answer: Response, written: Written) -> Response {
    answer.headers_mut().insert(header::ETAG, etag(written.version));
    answer
}

fn etag(version: Version) -> HeaderValue {
    HeaderValue::try_from(version.etag()).expect("digits and quotes are a header's value")
}
