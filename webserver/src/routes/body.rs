//! A request's body, within its limits.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body::Body as _;
use tokio::time::timeout;

use crate::error::Error;

/// The largest body there may be.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The whole body of a request that says it is JSON.
pub(super) async fn read_json(request: Request, limit: Duration) -> Result<Bytes, Error> {
    if !says_json(request.headers()) {
        return Err(Error::NotJson);
    }
    let too_large = Error::LargeBody { limit: BODY_BYTES_MAX };
    let body = request.into_body();
    // What is announced as too large need not be waited for.
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large);
    }
    match timeout(limit, to_bytes(body, BODY_BYTES_MAX)).await {
        Err(_) => Err(Error::SlowBody { limit }),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_large(&error) => Err(too_large),
        Ok(Err(error)) => Err(Error::BadRequest { detail: format!("the request's body broke off: {error}") }),
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}

/// `application/json`, with parameters or without.
fn says_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
