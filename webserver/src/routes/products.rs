//! `/products/{id}`: the catalogue. A page costs CPU time, less if its product comes from the cache;
//! the database is only a part of the cost.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::json;
use tokio::time::Instant;

use super::body::read_json;
use super::id::Id;
use super::product::Product;
use crate::error::Error;
use crate::state::Shop;
use crate::store::{Answer, Document, Source};

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
pub(super) const X_DB_NODE: HeaderName = HeaderName::from_static("x-db-node");
pub(super) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// `GET /products/{id}`.
pub async fn read(State(shop): State<Arc<Shop>>, id: Id) -> Result<Response, Error> {
    let began = Instant::now();
    let answer = shop.store.read(&key(&id)).await?;
    let cache_time = began.elapsed().saturating_sub(answer.database_time);
    let costs = &shop.config.costs;
    let from_cache = matches!(answer.source, Source::Hit | Source::Stale);
    shop.machine.cpu(if from_cache { costs.hit } else { costs.page }).await;
    let headers = cache_headers(&answer, cache_time);
    Ok(match answer.found {
        Some(document) => (headers, page(document)).into_response(),
        None => (headers, Error::UnknownProduct { id: id.into_text() }).into_response(),
    })
}

/// `PUT /products/{id}`. Responds once the database has the product and this server's cache has no
/// old copy.
pub async fn write(State(shop): State<Arc<Shop>>, id: Id, request: Request) -> Result<Response, Error> {
    let body = read_json(request, shop.config.body_timeout).await?;
    let product = Product::parse(&body)?;
    let began = Instant::now();
    let version = shop.store.write(&key(&id), product.to_document()).await?;
    let timing = (SERVER_TIMING, timing(Duration::ZERO, began.elapsed()));
    let headers = [timing, (header::ETAG, HeaderValue::try_from(version.etag()).expect("digits and quotes"))];
    Ok((headers, Json(json!({ "id": id.as_str(), "version": version }))).into_response())
}

/// The key of a product in the database.
pub(super) fn key(id: &Id) -> String {
    format!("product:{}", id.as_str())
}

fn page(document: Document) -> Response {
    let etag = HeaderValue::try_from(document.version.etag()).expect("digits and quotes");
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json), (header::ETAG, etag)], Body::from(document.body)).into_response()
}

/// The headers that tell where the answer came from, and how long each part took.
fn cache_headers(answer: &Answer, cache_time: Duration) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(X_CACHE, HeaderValue::from_static(answer.source.name()));
    headers.insert(SERVER_TIMING, timing(cache_time, answer.database_time));
    let node = answer.found.as_ref().and_then(|document| HeaderValue::from_str(&document.node).ok());
    headers.extend(node.map(|node| (X_DB_NODE, node)));
    headers
}

pub(super) fn timing(cache: Duration, database: Duration) -> HeaderValue {
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let text = format!("cache;dur={:.1}, db;dur={:.1}", ms(cache), ms(database));
    HeaderValue::try_from(text).expect("words and numbers are a header's value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_milliseconds_with_one_decimal() {
        let told = timing(Duration::from_micros(2_340), Duration::from_secs(1));
        assert_eq!(told, "cache;dur=2.3, db;dur=1000.0");
    }
}
