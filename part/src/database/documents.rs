//! Parses requests' queries, and turns refusals into responses. Pure.
#![deny(clippy::disallowed_methods)]

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dbclient::Read;
use dbclient::headers::BadHeader;
use serde::Deserialize;
use serde_json::json;

use super::{List, Refusal};

/// The largest number of records in a response.
const LIMIT_MAX: usize = 1_000;

/// `?read=local`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfRecord {
    read: Option<String>,
}

/// `?prefix=a&limit=10`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OfRecords {
    read: Option<String>,
    prefix: String,
    after: String,
    limit: Option<usize>,
}

impl OfRecord {
    pub(super) fn read(&self) -> Result<Read, Problem> {
        read(self.read.as_deref())
    }
}

impl OfRecords {
    pub(super) fn list(self) -> Result<List, Problem> {
        let Self { prefix, after, limit, .. } = self;
        let limit = limit.unwrap_or(100);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(bad_request("bad_query", &format!("limit is a number from 1 to {LIMIT_MAX}")));
        }
        Ok(List { read: read(self.read.as_deref())?, prefix, after, limit })
    }
}

fn read(word: Option<&str>) -> Result<Read, Problem> {
    match word {
        None | Some("latest") => Ok(Read::Latest),
        Some("local") => Ok(Read::Local),
        Some(other) => Err(bad_request("bad_query", &format!("read is local or latest, not '{other}'"))),
    }
}

/// An error response, as the `Err` of a handler.
#[derive(Debug)]
pub(super) struct Problem(Box<Response>);

impl From<BadHeader> for Problem {
    fn from(BadHeader { code, detail }: BadHeader) -> Self {
        bad_request(code, &detail)
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        *problem.0
    }
}

pub(super) fn bad_request(error: &str, detail: &str) -> Problem {
    Problem(Box::new(problem(StatusCode::BAD_REQUEST, error, detail)))
}

pub(super) fn problem(status: StatusCode, error: &str, detail: &str) -> Response {
    let mut answer = (status, Json(json!({ "error": error, "detail": detail }))).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// Returns the response to a refused request. `place` is its path and query.
pub(super) fn refused(refusal: &Refusal, place: &str) -> Response {
    let (status, error) = match refusal {
        Refusal::Conflict => (StatusCode::PRECONDITION_FAILED, "conflict"),
        Refusal::NotANumber => (StatusCode::UNPROCESSABLE_ENTITY, "not_a_number"),
        Refusal::Overflow => (StatusCode::UNPROCESSABLE_ENTITY, "overflow"),
        Refusal::RequestReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
        Refusal::NotPrimary { .. } => (StatusCode::TEMPORARY_REDIRECT, "not_the_primary"),
        Refusal::NoPrimary(_) => (StatusCode::SERVICE_UNAVAILABLE, "no_primary"),
        Refusal::NotWritten(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_written"),
        Refusal::OutcomeUnknown(_) => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"),
        Refusal::NotConfirmed(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_confirmed"),
    };
    let mut answer = problem(status, error, &refusal.to_string());
    if let Refusal::NotPrimary { name, at } = refusal {
        let location = HeaderValue::try_from(format!("http://{at}{place}"));
        answer.headers_mut().extend(location.map(|location| (header::LOCATION, location)));
        let name = HeaderValue::try_from(name.as_str());
        answer.headers_mut().extend(name.map(|name| (header::HeaderName::from_static("x-db-primary"), name)));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_the_primary_says_who_is_and_where() {
        let refusal = Refusal::NotPrimary { name: "db-1".into(), at: "127.0.0.1:7001".into() };
        let answer = refused(&refusal, "/kv/a/add");
        assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answer.headers()["location"], "http://127.0.0.1:7001/kv/a/add");
        assert_eq!(answer.headers()["x-db-primary"], "db-1");
        assert_eq!(refused(&Refusal::NotWritten("x".into()), "/").headers()["retry-after"], "1");
    }

    #[test]
    fn a_limit_is_bounded() {
        let query = |limit| OfRecords { limit: Some(limit), ..OfRecords::default() };
        assert!(query(0).list().is_err() && query(1_001).list().is_err() && query(1_000).list().is_ok());
    }
}
