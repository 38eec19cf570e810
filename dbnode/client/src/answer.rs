//! What a node answered.

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

/// A value's largest size and some room; what is longer is no answer of a database node.
const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    /// Who answered.
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

    /// The name of the node that could do it.
    pub(super) fn primary(&self) -> Option<&str> {
        self.header("x-db-primary")
    }

    /// There is an election, or this node is cut off from whoever won it. Nothing was written.
    pub(super) fn knows_no_primary(&self) -> bool {
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        self.status == StatusCode::SERVICE_UNAVAILABLE
            && serde_json::from_slice::<Refusal>(&self.body)
                .is_ok_and(|refusal| refusal.error == "no_primary")
    }

    /// What an answer means that is not a success.
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

    /// The sentence in `{"error": …, "detail": …}`, or whatever else there is to say.
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
