//! Reads a request's body, within its limits.

use std::time::Duration;

use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, header};
use machine::serving::body::{self, BodyError, BodyLimits};

use crate::error::Error;

/// The largest body, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Reads the whole body of a request that declares it as JSON.
pub(super) async fn read_json(request: Request, limit: Duration) -> Result<Bytes, Error> {
    if !says_json(request.headers()) {
        return Err(Error::NotJson);
    }
    let limits = BodyLimits { bytes: BODY_BYTES_MAX, time: limit };
    body::read(request, limits).await.map_err(|error| match error {
        BodyError::TooLarge => Error::LargeBody { limit: BODY_BYTES_MAX },
        BodyError::TooSlow => Error::SlowBody { limit },
        BodyError::Overloaded => Error::Overloaded,
        BodyError::Broken(_) => Error::BadRequest { detail: error.to_string() },
    })
}

/// True for `application/json`, with or without parameters.
fn says_json(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
