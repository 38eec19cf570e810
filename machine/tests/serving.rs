//! The shared accept loop, with clients that keep a server waiting.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures_util::{StreamExt, stream};
use machine::network::Network;
use machine::serving::body::{self, BodyError, BodyLimits};
use machine::serving::{Limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

/// A limit that is reached soon.
const SOON: Duration = Duration::from_millis(300);

struct TestServer {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    /// Large responses in progress.
    large: Arc<AtomicUsize>,
}

impl TestServer {
    async fn start(limits: Limits) -> Self {
        let listener = Network::tcp().bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, stop) = (listener.local_address().unwrap(), CancellationToken::new());
        let large = Arc::<AtomicUsize>::default();
        let app = Router::new()
            .route("/", get(async || "hello"))
            .route("/slow", get(async || sleep(2 * SOON).await))
            .route("/pausing", get(pausing))
            .route("/body", post(take_body))
            .route(
                "/large",
                get({
                    let large = Arc::clone(&large);
                    async move || Bytes::from_owner(Large::new(large))
                }),
            );
        let serving = tokio::spawn(serve(listener, app, limits, stop.clone()));
        Self { address, stop, serving, large }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Opens a connection and sends these bytes.
    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// Returns the response to a request on a new connection.
    async fn ask(&self, request: &str) -> String {
        rest(&mut self.send(request.as_bytes()).await).await
    }

    async fn answers(&self) -> bool {
        self.ask("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.ends_with("hello")
    }
}

/// A response in two parts: more than the system's buffers hold, and the end later.
async fn pausing() -> Body {
    let parts = stream::iter([Bytes::from(vec![b'x'; 32 << 20]), Bytes::from("the end")]);
    Body::from_stream(parts.enumerate().then(async |(number, part)| {
        sleep(number as u32 * 4 * SOON).await;
        Ok::<_, Infallible>(part)
    }))
}

async fn take_body(request: Request) -> Result<String, StatusCode> {
    let limits = BodyLimits { bytes: 1 << 20, time: 20 * SOON };
    match body::read(request, limits).await {
        Ok(body) => Ok(body.len().to_string()),
        Err(BodyError::TooLarge) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(BodyError::TooSlow) => Err(StatusCode::REQUEST_TIMEOUT),
        Err(BodyError::Overloaded) => Err(StatusCode::SERVICE_UNAVAILABLE),
        Err(BodyError::Broken(_)) => Err(StatusCode::BAD_REQUEST),
    }
}

/// More than the system's buffers hold; counts its instances.
struct Large(Vec<u8>, Arc<AtomicUsize>);

impl Large {
    fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(vec![b'x'; 32 << 20], count)
    }
}

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Returns everything up to the end of the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset ends it too.
    let _ = timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("the server ends it");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends these bytes repeatedly until the server closes the connection.
async fn until_closed(stream: &mut TcpStream, trickle: &[u8]) {
    let closed = async {
        let mut byte = [0];
        while !matches!(timeout(SOON / 10, stream.read(&mut byte)).await, Ok(Ok(0) | Err(_))) {
            if stream.write_all(trickle).await.is_err() {
                break;
            }
        }
    };
    timeout(LIMIT, closed).await.expect("the server ends it");
}

/// Reads one response of `/` from a connection that stays open.
async fn one_hello(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let mut bytes = [0; 1024];
        let count = timeout(LIMIT, stream.read(&mut bytes)).await.expect("an answer").unwrap();
        assert!(count > 0, "the connection was closed");
        answer.extend_from_slice(&bytes[..count]);
    }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, waiting).await.unwrap_or_else(|_| panic!("waited too long for: {what}"));
}

const KEPT: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn a_head_that_does_not_come_to_its_end_is_cut_also_a_later_one() {
    let limits = Limits { header_timeout: SOON, ..Limits::default() };
    let server = TestServer::start(limits).await;
    for first in ["", "GET /", KEPT] {
        let began = Instant::now();
        let mut stream = server.send(first.as_bytes()).await;
        if first == KEPT {
            one_hello(&mut stream).await;
            stream.write_all(b"GET /").await.unwrap();
        }
        // A path that grows longer and longer does not help.
        let trickle: &[u8] = if first.is_empty() { b"" } else { b"/" };
        until_closed(&mut stream, trickle).await;
        assert!(began.elapsed() >= SOON);
    }
}

#[tokio::test]
async fn between_requests_a_connection_may_be_quiet_for_longer() {
    let limits = Limits { header_timeout: SOON / 3, idle_timeout: 3 * SOON, ..Limits::default() };
    let server = TestServer::start(limits).await;
    let mut stream = server.send(KEPT.as_bytes()).await;
    one_hello(&mut stream).await;
    sleep(SOON).await;
    let idle = Instant::now();
    stream.write_all(KEPT.as_bytes()).await.unwrap();
    one_hello(&mut stream).await;
    rest(&mut stream).await;
    assert!(idle.elapsed() >= 3 * SOON);
}

#[tokio::test]
async fn a_request_that_takes_its_time_is_not_cut() {
    let limits = Limits {
        header_timeout: SOON / 3,
        idle_timeout: SOON / 3,
        write_timeout: SOON / 3,
        ..Limits::default()
    };
    let server = TestServer::start(limits).await;
    let answer = server.ask("GET /slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_one_that_reads_slowly_is_not() {
    let limits = Limits { write_timeout: SOON, ..Limits::default() };
    let server = TestServer::start(limits).await;
    let large = b"GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut slow = server.send(large).await;
    let mut read = 0;
    let mut piece = vec![0; 1 << 20];
    while read < 32 << 20 {
        let count = timeout(LIMIT, slow.read(&mut piece)).await.unwrap().unwrap();
        assert!(count > 0, "cut after {read} bytes");
        read += count;
        sleep(SOON / 60).await;
    }
    let stuck = server.send(&large.repeat(20)).await;
    until("the answer is on its way", async || server.large.load(Ordering::SeqCst) > 0).await;
    until("the answer is given up", async || server.large.load(Ordering::SeqCst) == 0).await;
    drop(stuck);
}

#[tokio::test]
async fn an_answer_that_was_blocked_once_may_pause_later() {
    let limits = Limits { write_timeout: SOON, ..Limits::default() };
    let server = TestServer::start(limits).await;
    let mut stream = server.send(b"GET /pausing HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    // The first part has filled all buffers.
    sleep(SOON / 3).await;
    assert!(rest(&mut stream).await.contains("the end"));
}

#[tokio::test]
async fn those_who_only_sit_there_leave_for_those_who_ask() {
    let server = TestServer::start(Limits { connections: 8, ..Limits::default() }).await;
    let mut kept = server.send(KEPT.as_bytes()).await;
    one_hello(&mut kept).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(server.connect().await);
        idle.push(server.send(b"GET / HT").await);
        assert!(server.answers().await);
    }
    // A connection that completed a request before is kept.
    kept.write_all(KEPT.as_bytes()).await.unwrap();
    one_hello(&mut kept).await;
}

#[tokio::test]
async fn when_all_are_being_served_the_next_one_is_told_so_at_once() {
    let server = TestServer::start(Limits { connections: 2, ..Limits::default() }).await;
    let slow = "GET /slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut served = [server.send(slow.as_bytes()).await, server.send(slow.as_bytes()).await];
    let answer = loop {
        let answer = server.ask(KEPT).await;
        // One that had not been read yet may have made room for it.
        if answer.starts_with("HTTP/1.1 503") {
            break answer;
        }
        served = [server.send(slow.as_bytes()).await, server.send(slow.as_bytes()).await];
    };
    assert!(answer.contains("\"overloaded\"") && answer.contains("retry-after: 1"), "{answer}");
    for stream in &mut served {
        assert!(rest(stream).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_host_line_is_one_host_and_is_there() {
    let server = TestServer::start(Limits::default()).await;
    let status = async |head: &str| {
        server.ask(&format!("GET / {head}\r\nconnection: close\r\n\r\n")).await[9..12].to_owned()
    };
    for bad in [
        "HTTP/1.1\r\nhost: a\r\nhost: a",
        "HTTP/1.1\r\nhost: a\r\nHost: b",
        "HTTP/1.1",
        "HTTP/1.1\r\nhost: a b",
    ] {
        assert_eq!(status(bad).await, "400", "{bad}");
    }
    for good in ["HTTP/1.1\r\nhost: a:80", "HTTP/1.0", "HTTP/1.1\r\nhost:"] {
        assert_eq!(status(good).await, "200", "{good}");
    }
}

#[tokio::test]
async fn bodies_share_memory_and_slow_ones_give_theirs_back() {
    // Room for two large ones.
    let server = TestServer::start(Limits { body_bytes: 3 << 20, ..Limits::default() }).await;
    let head = |bytes: usize| {
        format!("POST /body HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n")
    };
    let large = head(1 << 20);
    let mut stuck = Vec::new();
    for _ in 0..5 {
        stuck.push(server.send(format!("{large}x").as_bytes()).await);
    }
    let began = Instant::now();
    let small = server.ask(&format!("{}123", head(3))).await;
    assert!(small.ends_with("\r\n\r\n3") && began.elapsed() < SOON, "a small one does not wait: {small}");
    let whole = server.ask(&format!("{large}{}", "y".repeat(1 << 20))).await;
    assert!(whole.ends_with("1048576"), "{whole}");
    for stream in &mut stuck {
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.1 408") || answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
}

#[tokio::test]
async fn the_drain_does_not_wait_for_those_who_only_sit_there() {
    let server = TestServer::start(Limits { drain: LIMIT, ..Limits::default() }).await;
    let mut kept = server.send(KEPT.as_bytes()).await;
    one_hello(&mut kept).await;
    let _silent = server.connect().await;
    let mut asking = server.send(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(server.answers().await);
    server.stop.cancel();
    assert!(rest(&mut asking).await.starts_with("HTTP/1.1 200"));
    assert_eq!(rest(&mut kept).await, "");
    timeout(LIMIT / 2, server.serving).await.expect("the drain ends").unwrap();
}
