//! From a request's headers to when it may happen, and how often.

#![deny(clippy::disallowed_methods)]

use http::{HeaderMap, header};

use super::problem::Problem;
use crate::replication::input::RequestId;
use dbclient::Condition;
use dbclient::Version;

/// The longest name of a request, in bytes.
const REQUEST_ID_MAX: usize = 128;

/// `If-Match: "7"`, `If-None-Match: *`, or neither.
pub(super) fn condition(headers: &HeaderMap) -> Result<Condition, Problem> {
    let refuse = |detail: &str| Err(Problem::bad_request("bad_condition", detail));
    match (one(headers, header::IF_MATCH.as_str())?, one(headers, header::IF_NONE_MATCH.as_str())?) {
        (None, None) => Ok(Condition::Always),
        (Some(_), Some(_)) => refuse("If-Match and If-None-Match exclude each other"),
        (None, Some("*")) => Ok(Condition::IfAbsent),
        (None, Some(_)) => refuse("If-None-Match knows only *"),
        (Some(etag), None) => match Version::from_etag(etag) {
            Some(version) => Ok(Condition::IfVersion(version)),
            None => refuse("If-Match takes one version as ETag shows it, a number in quotes"),
        },
    }
}

/// The client's own name for the request.
pub(super) fn request_id(headers: &HeaderMap) -> Result<Option<RequestId>, Problem> {
    let Some(id) = one(headers, "idempotency-key")? else { return Ok(None) };
    let visible = id.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && (1..=REQUEST_ID_MAX).contains(&id.len()) {
        return Ok(Some(id.into()));
    }
    let detail =
        format!("an Idempotency-Key is 1 to {REQUEST_ID_MAX} visible ASCII characters without spaces");
    Err(Problem::bad_request("bad_idempotency_key", detail))
}

/// The value of a header that may stand there once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(Some(value)),
        (Err(_), _) => Err(Problem::bad_request("bad_header", format!("{name} is not ASCII"))),
        (_, Some(_)) => Err(Problem::bad_request("bad_header", format!("{name} stands there twice"))),
    }
}
