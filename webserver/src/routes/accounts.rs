//! `/accounts/{id}`: money. Never cached, because a visitor must see a deposit at once.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::body::read_json;
use super::id::Id;
use super::products::{SERVER_TIMING, X_DB_NODE, timing};
use crate::error::Error;
use crate::state::Shop;
use crate::store::database::Place;

const X_LAG_MS: HeaderName = HeaderName::from_static("x-lag-ms");

/// The largest deposit. Nine billion of them still fit into an account.
const AMOUNT_MAX: i64 = 1_000_000_000;

/// The longest idempotency key that the database accepts, in bytes.
const IDEMPOTENCY_KEY_MAX: usize = 128;

/// The query of a read: which database node to ask.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Where {
    replica: Option<String>,
}

/// `GET /accounts/{id}`: the latest balance. With `?replica=NAME`, the balance on that database node,
/// and in `X-Lag-Ms` how far behind the node may be.
pub async fn read(
    State(shop): State<Arc<Shop>>,
    id: Id,
    place: Result<Query<Where>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Error> {
    let Query(place) = place.map_err(|error| Error::BadRequest { detail: error.body_text() })?;
    let place = place.replica.map_or(Place::Latest, Place::Replica);
    let began = Instant::now();
    let account = shop.store.balance(&key(&id), &place).await?;
    let timing = [(SERVER_TIMING, timing(Duration::ZERO, began.elapsed()))];
    let Some(account) = account else {
        return Ok((timing, Error::UnknownAccount { id: id.into_text() }).into_response());
    };
    let node = HeaderValue::from_str(&account.node).ok().map(|node| (X_DB_NODE, node));
    let lag = account.lag_ms.map(|lag| (X_LAG_MS, HeaderValue::from(lag)));
    let whose: HeaderMap = node.into_iter().chain(lag).collect();
    let body = json!({ "id": id.as_str(), "balance": account.balance, "version": account.version });
    Ok((timing, whose, Json(body)).into_response())
}

/// `POST /accounts/{id}/deposit`. With an `Idempotency-Key` it takes effect once, however often it is
/// sent.
pub async fn deposit(State(shop): State<Arc<Shop>>, id: Id, request: Request) -> Result<Response, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Deposit {
        amount: i64,
    }
    let idempotency_key = idempotency_key(request.headers())?;
    let body = read_json(request, shop.config.body_timeout).await?;
    let Deposit { amount } = serde_json::from_slice(&body).map_err(|error| Error::BadRequest {
        detail: format!("a deposit is {{\"amount\": whole number}}: {error}"),
    })?;
    if !(1..=AMOUNT_MAX).contains(&amount) {
        return Err(Error::BadAmount { max: AMOUNT_MAX });
    }
    let began = Instant::now();
    let sum = shop.store.deposit(&key(&id), amount, idempotency_key.as_deref()).await?;
    let timing = [(SERVER_TIMING, timing(Duration::ZERO, began.elapsed()))];
    let body = json!({ "id": id.as_str(), "balance": sum.value, "version": sum.version });
    Ok((timing, Json(body)).into_response())
}

/// The key of an account in the database.
fn key(id: &Id) -> String {
    format!("account:{}", id.as_str())
}

/// The client's idempotency key, if there is one.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let (key, another) = (keys.next(), keys.next());
    let Some(key) = key else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| {
        (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    });
    match (key, another) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => Err(Error::BadRequest {
            detail: format!(
                "there is one Idempotency-Key, of 1 to {IDEMPOTENCY_KEY_MAX} visible ASCII characters"
            ),
        }),
    }
}
