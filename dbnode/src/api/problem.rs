//! Answers that are errors: `{"error": code, "detail": sentence}`.

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;

use super::{Answer, json};
use crate::replication::effect::Refusal;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    error: &'static str,
    detail: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, error: &'static str, detail: impl Into<String>) -> Self {
        Self { status, error, detail: detail.into(), header: None }
    }

    pub(super) fn bad_request(error: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, detail)
    }

    pub(super) fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(super) fn method(method: &Method, allowed: &'static str) -> Self {
        let detail = format!("{method} means nothing here; there is {allowed}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
            .with(header::ALLOW, HeaderValue::from_static(allowed))
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// Its code, which programs read.
    pub(super) fn error(&self) -> &'static str {
        self.error
    }

    pub(super) fn into_answer(self) -> Answer {
        #[derive(Serialize)]
        struct Document {
            error: &'static str,
            detail: String,
        }
        let mut answer = json(self.status, &Document { error: self.error, detail: self.detail });
        answer.headers_mut().extend(self.header);
        answer
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, error) = match refusal {
            Refusal::Conflict => (StatusCode::PRECONDITION_FAILED, "conflict"),
            Refusal::NotANumber => (StatusCode::UNPROCESSABLE_ENTITY, "not_a_number"),
            Refusal::Overflow => (StatusCode::UNPROCESSABLE_ENTITY, "overflow"),
            Refusal::RequestIdReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Refusal::OutcomeUnknown => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "not_written"),
        };
        let problem = Self::new(status, error, refusal.to_string());
        match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                problem.with(header::RETRY_AFTER, HeaderValue::from_static("1"))
            }
            _ => problem,
        }
    }
}
