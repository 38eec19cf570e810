//! A node's response.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;

use super::call::Effect;
use super::error::ClientError;
use super::routing::authority_in;

/// Maximum size of a response: the largest value and some margin. A longer response does not come
/// from a database node.
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A response.
#[derive(Debug)]
pub(super) struct Answer {
    /// The node that answered.
    pub(super) node: SocketAddr,
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) async fn read(
        node: SocketAddr,
        response: Response<Incoming>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok(Self { node, status: head.status, headers: head.headers, body })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn redirect(&self) -> Option<&str> {
        let moved = self.status == StatusCode::TEMPORARY_REDIRECT;
        moved.then(|| self.header("location").and_then(authority_in)).flatten()
    }

    /// The name of the node that could do what was asked.
    pub(super) fn primary(&self) -> Option<&str> {
        self.header("x-db-primary")
    }

    /// True if the node knows no primary: an election is in progress, or the node is cut off from
    /// its winner. Nothing was written.
    pub(super) fn knows_no_primary(&self) -> bool {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        self.status == StatusCode::SERVICE_UNAVAILABLE
            && serde_json::from_slice::<Refusal>(&self.body)
                .is_ok_and(|refusal| refusal.error == "no_primary")
    }

    /// The error that an unsuccessful response stands for.
    pub(super) fn into_error(self, effect: Effect) -> ClientError {
        let detail = self.detail();
        match self.status {
            StatusCode::PRECONDITION_FAILED => ClientError::Conflict,
            status if status.is_client_error() => ClientError::BadRequest { status, detail },
            _ if effect == Effect::None => ClientError::Unavailable { detail },
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TEMPORARY_REDIRECT => {
                let retry_after = self.header("retry-after").and_then(|seconds| seconds.parse().ok());
                ClientError::NotWritten { detail, retry_after: retry_after.map(Duration::from_secs) }
            }
            _ => ClientError::OutcomeUnknown { detail },
        }
    }

    /// The sentence in `{"error": …, "detail": …}`, or a description of the status.
    fn detail(&self) -> String {
        #[derive(Deserialize)]
        struct Refusal {
            detail: String,
        }
        match serde_json::from_slice::<Refusal>(&self.body) {
            Ok(refusal) => refusal.detail,
            Err(_) => format!("status {} without an explanation", self.status),
        }
    }
}
