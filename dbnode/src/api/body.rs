//! Reads a request's body, within limits of size and time.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use machine::serving::body::{self, BodyError, BodyLimits};

use super::problem::Problem;

/// The largest value, in bytes, and how long its body may take.
const LIMITS: BodyLimits = BodyLimits { bytes: 1 << 20, time: Duration::from_secs(10) };

/// Reads the whole body of a request.
pub(super) async fn read(request: Request<Incoming>) -> Result<Bytes, Problem> {
    body::read(request, LIMITS).await.map_err(|error| match error {
        BodyError::TooLarge => {
            let detail = format!("a body has at most {} bytes", LIMITS.bytes);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
        }
        BodyError::TooSlow => {
            let seconds = LIMITS.time.as_secs();
            let detail = format!("the body did not arrive within {seconds} seconds, or delayed others");
            Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
        }
        BodyError::Overloaded => Problem::overloaded("too many request bodies are arriving at once"),
        BodyError::Broken(_) => Problem::bad_request("bad_body", "the body is incomplete"),
    })
}
