//! Error responses: `{"error": code, "detail": sentence}`.

use dbclient::headers::BadHeader;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use machine::serving::guard::Refused;
use serde::Serialize;

use super::{Answer, json};
use crate::replication::effect::RejectReason;
use crate::replication::member::Name;

/// The response header that names the primary. A client that knows a route to that node need not
/// follow the `Location`.
const PRIMARY_HEADER: HeaderName = HeaderName::from_static("x-db-primary");

/// An error response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    error: &'static str,
    detail: String,
    header: Option<Box<(HeaderName, HeaderValue)>>,
    /// The node that could do what was asked.
    primary: Option<Name>,
}

impl From<BadHeader> for Problem {
    fn from(BadHeader { code, detail }: BadHeader) -> Self {
        Self::bad_request(code, detail)
    }
}

impl Problem {
    pub(super) fn new(status: StatusCode, error: &'static str, detail: impl Into<String>) -> Self {
        Self { status, error, detail: detail.into(), header: None, primary: None }
    }

    pub(super) fn bad_request(error: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, detail)
    }

    pub(super) fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// Too much work at the moment; nothing was done.
    pub(super) fn overloaded(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail)
            .with(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    pub(super) fn method(method: &Method, allowed: &'static str) -> Self {
        let detail = format!("{method} is not allowed here; use {allowed}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
            .with(header::ALLOW, HeaderValue::from_static(allowed))
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// The node that could do what was asked, if it is another one.
    pub(super) fn primary(&self) -> Option<&Name> {
        self.primary.as_ref()
    }

    /// Turns the problem into a redirect to this location.
    pub(super) fn at(mut self, location: &str) -> Self {
        if let Ok(location) = HeaderValue::from_str(location) {
            self.status = StatusCode::TEMPORARY_REDIRECT;
            self.error = "not_the_primary";
            self.header = Some(Box::new((header::LOCATION, location)));
        }
        self
    }

    /// The error code, for programs.
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
        let primary = self.primary.and_then(|primary| HeaderValue::from_str(&primary).ok());
        answer.headers_mut().extend(primary.map(|primary| (PRIMARY_HEADER, primary)));
        answer.headers_mut().extend(self.header.map(|header| *header));
        answer
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let advice = match refused {
            Refused::Host => " (further ones are given with --advertise)",
            Refused::Page => "",
        };
        Self::new(StatusCode::FORBIDDEN, "not_allowed", format!("{refused}{advice}"))
    }
}

impl From<RejectReason> for Problem {
    fn from(refusal: RejectReason) -> Self {
        let (status, error) = match refusal {
            RejectReason::Conflict => (StatusCode::PRECONDITION_FAILED, "conflict"),
            RejectReason::NotANumber => (StatusCode::UNPROCESSABLE_ENTITY, "not_a_number"),
            RejectReason::Overflow => (StatusCode::UNPROCESSABLE_ENTITY, "overflow"),
            RejectReason::RequestIdReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            RejectReason::OutcomeUnknown => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown"),
            RejectReason::NotConfirmed => (StatusCode::SERVICE_UNAVAILABLE, "not_confirmed"),
            RejectReason::NoPrimary | RejectReason::NotPrimary(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "no_primary")
            }
            RejectReason::DiskFull
            | RejectReason::Overloaded
            | RejectReason::Stopped
            | RejectReason::HandingOver
            | RejectReason::TooManyNames
            | RejectReason::MemberFull(_)
            | RejectReason::MemberDown(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_written"),
        };
        let problem = Self::new(status, error, refusal.to_string());
        let problem = match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                problem.with(header::RETRY_AFTER, HeaderValue::from_static("1"))
            }
            _ => problem,
        };
        match refusal {
            RejectReason::NotPrimary(primary) => Self { primary: Some(primary), ..problem },
            _ => problem,
        }
    }
}
