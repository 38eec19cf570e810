//! One request, one answer, within a limit: for health checks and the balancers' administration.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::timeout;

const ANSWER_MAX: usize = 4 << 20;

/// The word that this labctl's balancers ask for, where others can reach them too. All of them ask for the
/// same, whichever lab they belong to.
static WORD: Mutex<Option<String>> = Mutex::new(None);

/// The word that balancers are to ask for, which is made up when there is none yet. From now on whoever is
/// asked something gets it.
pub fn word() -> String {
    WORD.lock().get_or_insert_with(|| hex::encode(rand::random::<[u8; 16]>())).clone()
}

/// From now on whoever is asked something gets this word, that of a lab which another labctl keeps.
pub fn present(word: String) {
    *WORD.lock() = Some(word);
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

/// Asks, with an optional JSON body.
pub async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: Option<serde_json::Value>,
    limit: Duration,
) -> anyhow::Result<Answer> {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let token = WORD.lock().as_ref().map(|token| format!("Bearer {token}"));
    let mut request = Request::builder();
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let request = request
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
    send(address, request, limit).await
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
