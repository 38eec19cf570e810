//! The HTTP client of a grade: one request per connection, and its outcome.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest response that is read, in bytes.
const ANSWER_MAX: usize = 16 << 20;

/// The response to a request.
#[derive(Debug, Clone)]
pub struct Answered {
    /// Its status code.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answered {
    /// Checks the response against the expected statuses and the expected body, if there is one. The error is a
    /// sentence that begins with `what`, the request.
    pub fn check(&self, what: &str, status: &[u16], body: Option<&str>) -> Result<(), String> {
        if !status.contains(&self.status) {
            let wanted = status.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ");
            return Err(format!("{what} was answered {}, wanted {wanted}", self.status));
        }
        match body.filter(|body| String::from_utf8_lossy(&self.body) != **body) {
            Some(body) => Err(format!("{what}: the body was '{}', wanted '{body}'", self.shown())),
            None => Ok(()),
        }
    }

    /// Returns the beginning of the body, to be quoted in a sentence.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(60).collect()
    }

    /// Returns a header, if it is present and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns whether the status is 2xx.
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Builds a request to an address.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: impl IntoIterator<Item = (String, String)>,
    body: &str,
) -> anyhow::Result<Request<Full<Bytes>>> {
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).context("a request of a stage's file")
}

/// Sends a request on a new connection.
pub async fn send(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
    limit: Duration,
) -> anyhow::Result<Answered> {
    let exchange = async {
        let stream = TcpStream::connect(address).await.context("it does not accept the connection")?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driving = tokio::spawn(connection);
        let answered = over(&mut sender, request).await;
        driving.abort();
        answered
    };
    timeout(limit, exchange).await.map_err(|_| anyhow::anyhow!("no answer within {limit:?}"))?
}

/// A connection to be reused.
pub type Kept = Option<http1::SendRequest<Full<Bytes>>>;

async fn open(address: SocketAddr) -> anyhow::Result<http1::SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The task ends when the other side closes the connection, or when its sender is dropped.
    tokio::spawn(connection);
    Ok(sender)
}

/// Requests a page over the kept connection, or over a new one if that was closed.
pub async fn again(address: SocketAddr, kept: &mut Kept, limit: Duration) -> anyhow::Result<Answered> {
    let exchange = async {
        loop {
            let mut sender = kept.take();
            let is_new = match &mut sender {
                Some(kept) => kept.ready().await.is_err(),
                None => true,
            };
            let mut sender = match sender.filter(|_| !is_new) {
                Some(kept) => kept,
                None => open(address).await?,
            };
            match over(&mut sender, request(address, "GET", "/page", [], "")?).await {
                Ok(answered) => {
                    *kept = Some(sender);
                    return Ok(answered);
                }
                // The connection was closed while the request was on its way.
                Err(_) if !is_new => {}
                Err(error) => return Err(error),
            }
        }
    };
    timeout(limit, exchange).await.map_err(|_| anyhow::anyhow!("no answer within {limit:?}"))?
}

/// Sends a request on an open connection.
async fn over(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Answered> {
    let answer = sender.send_request(request).await.map_err(in_words)?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("its answer broke off: {error}"))?;
    Ok(Answered { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
}

fn in_words(error: hyper::Error) -> anyhow::Error {
    match error {
        error if error.is_parse() => anyhow::anyhow!("its answer is not HTTP/1.1: {error}"),
        error if error.is_incomplete_message() => {
            anyhow::anyhow!("it closed the connection without an answer")
        }
        error => anyhow::anyhow!("{error}"),
    }
}

/// The reaction to raw bytes.
#[derive(Debug)]
pub enum Raw {
    /// A response with this status.
    Status(u16),
    /// The connection was closed without a response.
    Closed,
    /// Neither, until the time limit.
    Silence,
    /// Something that is not an HTTP response.
    Nonsense(String),
}

/// Sends raw bytes, and reads the status of the response.
pub async fn raw(address: SocketAddr, bytes: &[u8], limit: Duration) -> anyhow::Result<Raw> {
    let mut stream = TcpStream::connect(address).await.context("it does not accept the connection")?;
    // The other side may answer and close before everything is written.
    let _ = stream.write_all(bytes).await;
    let mut said = Vec::new();
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left, stream.read_buf(&mut said)).await {
            Err(_) => return Ok(Raw::Silence),
            Ok(Ok(0) | Err(_)) if said.is_empty() => return Ok(Raw::Closed),
            Ok(Ok(0) | Err(_)) => return Ok(status_of(&said).unwrap_or_else(|| nonsense(&said))),
            Ok(Ok(_)) => {
                if let Some(status) = status_of(&said) {
                    return Ok(status);
                }
                if said.len() > 64 {
                    return Ok(nonsense(&said));
                }
            }
        }
    }
}

fn nonsense(said: &[u8]) -> Raw {
    Raw::Nonsense(String::from_utf8_lossy(&said[..said.len().min(64)]).into_owned())
}

fn status_of(said: &[u8]) -> Option<Raw> {
    let text = said.get(..12)?;
    let text = std::str::from_utf8(text).ok()?.strip_prefix("HTTP/1.")?;
    Some(Raw::Status(text.get(2..5)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_the_first_line() {
        let status = |text: &str| status_of(text.as_bytes());
        assert!(matches!(status("HTTP/1.1 400 Bad"), Some(Raw::Status(400))));
        assert!(status("HTTP/1.1 4").is_none() && status("what is this, please").is_none());
    }
}
