//! A small web server for developing a balancer: it names itself, shows the request it got, and misbehaves on command.
//! `labctl backend` runs it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::time::sleep;

/// The header that identifies a request, so that duplicates are recognised.
pub const TRY: &str = "x-try";
/// The longest request body that is read, and the longest response body that is made, in bytes.
const BODY_MAX: usize = 8 << 20;
/// The number of requests remembered by their [`TRY`].
const REMEMBERED_MAX: usize = 100_000;
/// The delay of a slow server.
const SLOW: Duration = Duration::from_millis(500);
/// The longest delay of `/slow`, in milliseconds.
const SLOW_MAX_MS: u64 = 10_000;

/// How a server treats requests; its `/healthz` always succeeds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Normal behaviour.
    #[default]
    Well,
    /// Answers 500.
    Failing,
    /// Reads the request, then closes the connection without a response.
    Breaking,
    /// Answers after half a second.
    Slow,
}

/// What a server has seen, as `GET /_seen` reports it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Sightings {
    /// The number of requests, without those for `/healthz` and for paths that begin with `/_`.
    pub requests: u64,
    /// How often each request with an `X-Try` arrived.
    pub tries: HashMap<String, u32>,
    /// The headers of the last request.
    pub last_headers: Vec<(String, String)>,
}

#[derive(Debug)]
struct Server {
    name: String,
    mode: Mutex<Mode>,
    seen: Mutex<Sightings>,
}

type Answer = Response<Full<Bytes>>;

/// Serves until the process ends.
pub async fn serve(name: &str, listen: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    let server = Arc::new(Server { name: name.to_owned(), mode: Mutex::default(), seen: Mutex::default() });
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // The process has too many files open; some will be closed in a moment.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&server), request));
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(75));
            // Connections that are broken on purpose end with an error, and so do those that clients break.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The error that ends a connection without a response.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("this server was told to break connections off")
    }
}

impl std::error::Error for Broken {}

async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Result<Answer, Broken> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    if path == "/healthz" {
        return Ok(text(StatusCode::OK, "ok"));
    }
    let body = Limited::new(body, BODY_MAX).collect().await.map_err(|_| Broken)?.to_bytes();
    if let Some(order) = path.strip_prefix("/_") {
        return Ok(server.obey(order, &head.method));
    }
    server.see(&head.headers);
    let mode = *server.mode.lock();
    match mode {
        Mode::Well => {}
        Mode::Failing => return Ok(server.named(text(StatusCode::INTERNAL_SERVER_ERROR, "told to fail"))),
        Mode::Breaking => return Err(Broken),
        Mode::Slow => sleep(SLOW).await,
    }
    let query = head.uri.query().unwrap_or_default();
    let answer = server.page(&path, query, &head.uri.to_string(), body).await;
    Ok(server.named(answer.unwrap_or_else(|never| match never {})))
}

impl Server {
    async fn page(&self, path: &str, query: &str, whole: &str, body: Bytes) -> Result<Answer, Infallible> {
        let number = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.parse::<u64>().ok())
        };
        Ok(match path {
            "/echo" => text(StatusCode::OK, whole),
            "/echo-body" => Response::new(Full::new(body)),
            "/big" => {
                let length = usize::try_from(number("bytes").unwrap_or(0)).unwrap_or(BODY_MAX).min(BODY_MAX);
                Response::new(Full::new(Bytes::from(vec![b'x'; length])))
            }
            "/slow" => {
                sleep(Duration::from_millis(number("ms").unwrap_or(1000).min(SLOW_MAX_MS))).await;
                text(StatusCode::OK, &format!("slow page from {}", self.name))
            }
            _ => match path.strip_prefix("/status/").and_then(|status| status.parse().ok()) {
                Some(status @ (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)) => {
                    let mut answer = Response::new(Full::default());
                    *answer.status_mut() = status;
                    answer
                }
                Some(status) => text(status, "as asked for"),
                None => text(StatusCode::OK, &format!("page from {}", self.name)),
            },
        })
    }

    /// Handles paths that begin with `/_`: they control the server.
    fn obey(&self, order: &str, method: &Method) -> Answer {
        if order == "seen" {
            let seen = serde_json::to_string(&*self.seen.lock()).unwrap_or_default();
            return text(StatusCode::OK, &seen);
        }
        let mode = order.strip_prefix("mode/").map(|mode| mode.into());
        let mode = mode.and_then(|mode: String| serde_json::from_value(mode.into()).ok());
        match mode {
            Some(mode) if method == Method::POST => {
                *self.mode.lock() = mode;
                text(StatusCode::OK, "so be it")
            }
            _ => text(StatusCode::NOT_FOUND, "POST /_mode/well, failing, breaking or slow; GET /_seen"),
        }
    }

    fn see(&self, headers: &http::HeaderMap) {
        let mut seen = self.seen.lock();
        seen.requests += 1;
        let words = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        seen.last_headers = headers.iter().map(|(name, value)| (name.to_string(), words(value))).collect();
        if let Some(id) = headers.get(TRY).map(words)
            && seen.tries.len() < REMEMBERED_MAX
        {
            *seen.tries.entry(id).or_insert(0) += 1;
        }
    }

    fn named(&self, mut answer: Answer) -> Answer {
        if let Ok(name) = HeaderValue::from_str(&self.name) {
            answer.headers_mut().insert("x-web", name);
        }
        answer
    }
}

fn text(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *answer.status_mut() = status;
    answer
}
