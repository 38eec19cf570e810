//! A request to a node.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use machine::trace;

use super::error::ClientError;
use super::types::Condition;

/// A request to a node, independent of which node it is.
#[derive(Debug)]
pub(super) struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    pub(super) effect: Effect,
}

/// The effect of a request that arrives twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// None: it only reads.
    None,
    /// The same as arriving once (idempotent).
    Once,
    /// Twice as much.
    EachTime,
}

impl Call {
    pub(super) fn new(method: Method, path: String, effect: Effect) -> Self {
        Self { method, path, headers: HeaderMap::new(), body: Bytes::new(), effect }
    }

    pub(super) fn carrying(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    pub(super) fn only_if(mut self, condition: Condition) -> Self {
        match condition {
            Condition::Always => {}
            Condition::IfVersion(version) => {
                let etag =
                    HeaderValue::try_from(version.etag()).expect("digits and quotes are a header's value");
                self.headers.insert(header::IF_MATCH, etag);
            }
            Condition::IfAbsent => {
                self.headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
            }
        }
        self
    }

    pub(super) fn with_idempotency_key(mut self, id: &str) -> Result<Self, ClientError> {
        let Ok(id) = HeaderValue::try_from(id) else {
            return Err(ClientError::BadRequest {
                status: StatusCode::BAD_REQUEST,
                detail: "an idempotency key is visible ASCII".into(),
            });
        };
        self.headers.insert(HeaderName::from_static("idempotency-key"), id);
        Ok(self)
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(super) fn request(&self, node: SocketAddr) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.parse().expect("an encoded path is a URI");
        *request.headers_mut() = self.headers.clone();
        let host = HeaderValue::try_from(node.to_string()).expect("an address is a header's value");
        request.headers_mut().insert(header::HOST, host);
        if let Some(context) = trace::current()
            && let Ok(traceparent) = HeaderValue::try_from(context.header())
        {
            request.headers_mut().insert(HeaderName::from_static(trace::TRACEPARENT), traceparent);
        }
        request
    }

    /// The error for a request without a response. A read can simply fail; the outcome of a write
    /// is unknown.
    pub(super) fn unanswered(&self, error: ClientError) -> ClientError {
        match self.effect {
            Effect::None => error,
            Effect::Once | Effect::EachTime => ClientError::OutcomeUnknown { detail: error.to_string() },
        }
    }
}
