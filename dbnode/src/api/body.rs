//! Reading a request's body, within limits of size and time.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::problem::Problem;

/// The largest value, in bytes.
pub(super) const BYTES_MAX: usize = 1 << 20;

/// How long a body may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The whole body of a request.
pub(super) async fn read(request: Request<Incoming>) -> Result<Bytes, Problem> {
    let body = request.into_body();
    if body.size_hint().lower() > BYTES_MAX as u64 {
        return Err(too_large());
    }
    let reading = Limited::new(body, BYTES_MAX).collect();
    match timeout(LIMIT, reading).await {
        // Copied, because what arrives is a piece of a much larger buffer, which would stay in
        // memory as long as the value does.
        Ok(Ok(body)) => Ok(Bytes::copy_from_slice(&body.to_bytes())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::bad_request("bad_body", "the body broke off")),
        Err(_) => {
            let detail = format!("the body did not arrive within {} seconds", LIMIT.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail))
        }
    }
}

fn too_large() -> Problem {
    let detail = format!("a body has at most {BYTES_MAX} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}
