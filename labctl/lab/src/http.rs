//! One request, one answer, within a limit: for health checks and the balancers' administration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

const ANSWER_MAX: usize = 4 << 20;

/// Asks the programs of one lab. Where others can reach them too, in containers, balancers want a token.
#[derive(Debug, Clone, Default)]
pub struct Client {
    token: Option<Arc<str>>,
}

impl Client {
    /// For a lab whose balancers want no token.
    pub fn without_token() -> Self {
        Self::default()
    }

    /// With a token that was made up before.
    pub fn with_token(token: &str) -> Self {
        Self { token: Some(token.trim().into()) }
    }

    /// With a new token.
    pub fn with_new_token() -> Self {
        Self::with_token(&hex::encode(rand::random::<[u8; 16]>()))
    }

    /// What balancers want to be told, if anything.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Asks, with an optional JSON body.
    pub async fn ask(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
        limit: Duration,
    ) -> anyhow::Result<Answer> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut request = Request::builder();
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request
            .method(method)
            .uri(path)
            .header("host", address.to_string())
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        send(address, request, limit).await
    }
}

/// The administration of one balancer.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who asks it.
    pub client: Client,
}

impl Admin {
    /// Asks, with an optional JSON body.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
        limit: Duration,
    ) -> anyhow::Result<Answer> {
        self.client.ask(self.address, method, path, body, limit).await
    }
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The whole body.
    pub body: Bytes,
    headers: HeaderMap,
}

impl Answer {
    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// A header, when it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Asks a program that wants no token, with an optional JSON body.
pub async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: Option<serde_json::Value>,
    limit: Duration,
) -> anyhow::Result<Answer> {
    Client::without_token().ask(address, method, path, body, limit).await
}

/// Sends a request, on a connection of its own.
pub async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
    limit: Duration,
) -> anyhow::Result<Answer> {
    let asked = format!("{} http://{address}{}", request.method(), request.uri());
    timeout(limit, exchange(address, request))
        .await
        .map_err(|_| anyhow::anyhow!("no answer within {limit:?}"))
        .and_then(|answer| answer)
        .with_context(|| asked)
}

async fn exchange(address: SocketAddr, mut request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answering = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(anyhow::Error::from_boxed)?;
        anyhow::Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    };
    // The connection ends when the answer is there; an error of it is seen by the exchange as well.
    let driving = tokio::spawn(connection);
    let answer = answering.await;
    driving.abort();
    answer
}
