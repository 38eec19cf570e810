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
use tokio_util::task::AbortOnDropHandle;

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
        send(address, self.request(address, method, path, body)?, limit).await
    }

    /// A connection that is kept, for whoever asks again and again. It is made when it is first needed.
    pub fn keep(&self, address: SocketAddr) -> KeptConnection {
        KeptConnection { client: self.clone(), address, open: None }
    }

    fn request(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
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
        Ok(request)
    }
}

/// A connection to one program that serves one request after the other. When it fails, so does the request that was on
/// it, and the next one gets a new connection.
#[derive(Debug)]
pub struct KeptConnection {
    client: Client,
    address: SocketAddr,
    open: Option<Connection>,
}

impl KeptConnection {
    /// Asks for a path.
    pub async fn get(&mut self, path: &str, limit: Duration) -> anyhow::Result<Answer> {
        let request = self.client.request(self.address, Method::GET, path, None)?;
        // It is put back only when the whole answer was read: what was cut short leaves no half of it to the next.
        let (open, address) = (self.open.take(), self.address);
        let exchange = async {
            let mut connection = match open {
                Some(connection) if !connection.sender.is_closed() => connection,
                _ => Connection::to(address).await?,
            };
            let answer = connection.exchange(request).await?;
            anyhow::Ok((connection, answer))
        };
        let (connection, answer) = within(limit, exchange).await?;
        self.open = Some(connection);
        Ok(answer)
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
    mut request: Request<Full<Bytes>>,
    limit: Duration,
) -> anyhow::Result<Answer> {
    let asked = format!("{} http://{address}{}", request.method(), request.uri());
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    let exchange = async { Connection::to(address).await?.exchange(request).await };
    within(limit, exchange).await.with_context(|| asked)
}

async fn within<T>(limit: Duration, exchange: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    timeout(limit, exchange).await.map_err(|_| anyhow::anyhow!("no answer within {limit:?}"))?
}

/// A connection, which is closed when this is dropped.
#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    // An error of it is seen by the exchange as well.
    _driving: AbortOnDropHandle<hyper::Result<()>>,
}

impl Connection {
    async fn to(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, _driving: AbortOnDropHandle::new(tokio::spawn(connection)) })
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        self.sender.ready().await?;
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(anyhow::Error::from_boxed)?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Answers so many requests on each connection, then closes it; says how many connections there were.
    async fn serve(listener: TcpListener, on_each: usize, connections: usize) -> usize {
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await.expect("it listens");
            for _ in 0..on_each {
                let mut head = [0; 1024];
                let read = stream.read(&mut head).await.expect("a request comes");
                assert!(head[..read].ends_with(b"\r\n\r\n"));
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
                    .await
                    .expect("it is read");
            }
        }
        connections
    }

    #[tokio::test]
    async fn a_kept_connection_serves_one_request_after_the_other_and_is_made_anew_when_it_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let serving = tokio::spawn(serve(listener, 3, 2));
        let mut kept = Client::without_token().keep(address);
        let mut answered = 0;
        while answered < 6 {
            // The one that meets the end of a connection may fail; the next must not.
            let answer = match kept.get("/", LIMIT).await {
                Ok(answer) => answer,
                Err(_) => kept.get("/", LIMIT).await.expect("on a new connection"),
            };
            assert_eq!(&answer.body[..], b"hi");
            answered += 1;
        }
        assert_eq!(serving.await.expect("it did not panic"), 2);
    }

    #[tokio::test]
    async fn an_answer_that_was_not_awaited_is_not_taken_for_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let mut kept = Client::without_token().keep(address);
        let (late, in_time) = (Duration::from_millis(50), LIMIT);
        kept.get("/late", late).await.expect_err("nobody answers it");
        let _nobody_answers = listener.accept().await.expect("it was made");
        let serving = tokio::spawn(serve(listener, 1, 1));
        assert_eq!(&kept.get("/", in_time).await.expect("on a new connection").body[..], b"hi");
        serving.await.expect("it did not panic");
    }
}
