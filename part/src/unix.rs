//! HTTP over a Unix socket: for admin interfaces that other users must not reach.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Timeout of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest response, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Sends one request over a new connection. A response that is not 2xx is an error.
pub(crate) async fn request(
    socket: &Path,
    method: Method,
    path: &str,
    body: String,
) -> anyhow::Result<Bytes> {
    let what = format!("{method} {path}");
    let answer = timeout(PATIENCE, exchange(socket, method, path, body)).await;
    answer.with_context(|| format!("{what}: no answer within {PATIENCE:?}"))?.context(what)
}

async fn exchange(socket: &Path, method: Method, path: &str, body: String) -> anyhow::Result<Bytes> {
    let stream = UnixStream::connect(socket).await.context("connect to its socket")?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let read = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    connection.abort();
    let body = read.map_err(|error| anyhow!("its answer: {error}"))?.to_bytes();
    let said = || String::from_utf8_lossy(&body).trim().to_owned();
    ensure!(status.is_success(), "it answered {status}: {}", said());
    Ok(body)
}
