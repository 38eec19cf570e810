//! Error responses: `{"error": code, "detail": sentence}`.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use dbclient::ClientError;
use http::{HeaderValue, StatusCode, header};
use machine::serving::guard::Refused;
use serde_json::json;

use crate::sessions::SessionError;
use crate::sessions::cart::Quantity;
use crate::store::StoreError;

/// The `Retry-After` for a client that is rejected through no fault of its own.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is malformed.
    #[error("{detail}")]
    BadRequest {
        /// What is wrong with it.
        detail: String,
    },
    /// There is nothing at this path.
    #[error("there is nothing at {path}")]
    UnknownPath {
        /// The path.
        path: String,
    },
    /// There is no such product.
    #[error("there is no product '{id}'")]
    UnknownProduct {
        /// Its id.
        id: String,
    },
    /// There is no such account.
    #[error("there is no account '{id}'")]
    UnknownAccount {
        /// Its id.
        id: String,
    },
    /// This is not a valid user name.
    #[error("a user name has 1 to {length_max} characters, none of them a control character")]
    BadUser {
        /// The longest name, in characters.
        length_max: usize,
    },
    /// This is not a valid quantity.
    #[error("a quantity is a whole number from 1 to {}", Quantity::MAX)]
    BadQuantity,
    /// This is not a valid amount.
    #[error("an amount is a whole number from 1 to {max}")]
    BadAmount {
        /// The largest amount.
        max: i64,
    },
    /// The session is unknown, or cannot be looked up.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The guard does not allow this request.
    #[error(transparent)]
    NotAllowed(#[from] Refused),
    /// The path does not support this method.
    #[error("this path does not support this method; see the Allow header")]
    WrongMethod,
    /// The body did not arrive in time.
    #[error("the request's body did not arrive within {limit:?}")]
    SlowBody {
        /// The time limit.
        limit: Duration,
    },
    /// The body is too large.
    #[error("the request's body is larger than {limit} bytes")]
    LargeBody {
        /// The largest body, in bytes.
        limit: usize,
    },
    /// The body is not JSON.
    #[error("the request's body must be JSON, and say so: content-type: application/json")]
    NotJson,
    /// There are too many requests in flight, or too many bodies are arriving.
    #[error("too many requests are in flight; try again later")]
    Overloaded,
    /// The data could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The handler panicked.
    #[error("this is a bug in the server; the request was given up")]
    Bug,
}

impl Error {
    /// The status, the code, and the time for `Retry-After`.
    fn kind(&self) -> (StatusCode, &'static str, Option<Duration>) {
        match self {
            Self::BadRequest { .. } => (StatusCode::BAD_REQUEST, "bad_request", None),
            Self::UnknownPath { .. } => (StatusCode::NOT_FOUND, "not_found", None),
            Self::UnknownProduct { .. } => (StatusCode::NOT_FOUND, "unknown_product", None),
            Self::UnknownAccount { .. } => (StatusCode::NOT_FOUND, "unknown_account", None),
            Self::BadUser { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad_user", None),
            Self::BadQuantity => (StatusCode::UNPROCESSABLE_ENTITY, "bad_quantity", None),
            Self::BadAmount { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bad_amount", None),
            Self::Session(error) => session_kind(error),
            Self::NotAllowed(_) => (StatusCode::FORBIDDEN, "not_allowed", None),
            Self::WrongMethod => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", None),
            Self::SlowBody { .. } => (StatusCode::REQUEST_TIMEOUT, "body_timeout", None),
            Self::LargeBody { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", None),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", None),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", Some(RETRY_AFTER)),
            Self::Store(error) => store_kind(error),
            Self::Bug => (StatusCode::INTERNAL_SERVER_ERROR, "internal", None),
        }
    }
}

fn session_kind(error: &SessionError) -> (StatusCode, &'static str, Option<Duration>) {
    match error {
        SessionError::Unavailable(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "sessions_unavailable", Some(RETRY_AFTER))
        }
        SessionError::OutcomeUnknown => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", None),
        SessionError::Unknown => (StatusCode::UNAUTHORIZED, "unknown_session", None),
        SessionError::CartFull(_) => (StatusCode::UNPROCESSABLE_ENTITY, "cart_full", None),
    }
}

fn store_kind(error: &StoreError) -> (StatusCode, &'static str, Option<Duration>) {
    match error {
        StoreError::Database(error) => database_kind(error),
        StoreError::TooManyPastTheCache => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", Some(RETRY_AFTER)),
        StoreError::NotADocument { .. } | StoreError::NotANumber { .. } => {
            (StatusCode::BAD_GATEWAY, "database_unreadable", None)
        }
        StoreError::ReadGivenUp => (StatusCode::INTERNAL_SERVER_ERROR, "internal", None),
        StoreError::WriteGivenUp => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", None),
    }
}

fn database_kind(error: &ClientError) -> (StatusCode, &'static str, Option<Duration>) {
    match error {
        ClientError::Unreachable { .. } | ClientError::Unavailable { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", Some(RETRY_AFTER))
        }
        ClientError::Timeout => (StatusCode::GATEWAY_TIMEOUT, "database_timeout", None),
        ClientError::NotWritten { retry_after, .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "not_written", Some(retry_after.unwrap_or(RETRY_AFTER)))
        }
        ClientError::OutcomeUnknown { .. } => (StatusCode::GATEWAY_TIMEOUT, "outcome_unknown", None),
        ClientError::Conflict => (StatusCode::CONFLICT, "conflict", None),
        ClientError::NoSuchNode { .. } => (StatusCode::NOT_FOUND, "unknown_replica", None),
        // The sum is too large, or the Idempotency-Key belongs to another request.
        ClientError::BadRequest { status: StatusCode::UNPROCESSABLE_ENTITY, .. } => {
            (StatusCode::UNPROCESSABLE_ENTITY, "refused_by_the_database", None)
        }
        // The fault is this server's: it sent an invalid request.
        ClientError::BadRequest { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal", None),
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code, retry_after) = self.kind();
        let body = Json(json!({ "error": code, "detail": self.to_string() }));
        let mut response = (status, body).into_response();
        if let Some(retry_after) = retry_after {
            // In whole seconds, and never 0.
            let seconds = HeaderValue::from(retry_after.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
