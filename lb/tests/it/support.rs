//! Upstreams, balancers and clients for tests. Everything listens on port 0.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{any, get};
use bytes::Bytes;
use clap::Parser;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use lb::{Args, Config, Running};
use machine::names::Resolver;
use machine::network::Network;
use machine::serving::{self, Limits};
use machine::vitals::Vitals;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The longest wait in a test.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A web server that counts requests, in its own thread, so that it can be killed.
pub struct Web {
    pub name: String,
    pub address: SocketAddr,
    served: Arc<AtomicU64>,
    fails: Arc<AtomicBool>,
    alive: CancellationToken,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Web {
    pub fn start(name: &str) -> Self {
        Self::start_at(name, "127.0.0.1:0".parse().unwrap())
    }

    pub fn start_at(name: &str, address: SocketAddr) -> Self {
        let (served, fails) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let alive = CancellationToken::new();
        let (tell, told) = std::sync::mpsc::channel();
        let (app, killed) = (app(&served, &fails), alive.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = Network::tcp().bind(address).await.unwrap();
                tell.send(listener.local_address().unwrap()).unwrap();
                let serving = serving::serve(listener, app, Limits::default(), CancellationToken::new());
                killed.run_until_cancelled(serving).await;
            });
            // Dropping the runtime cuts every connection, as the death of a process does.
        });
        let address = told.recv_timeout(LIMIT).unwrap();
        Self { name: name.to_owned(), address, served, fails, alive, thread: Mutex::new(Some(thread)) }
    }

    pub fn flag(&self) -> String {
        format!("--upstream={}={}", self.name, self.address)
    }

    pub fn served(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
    }

    /// Answers 500 from now on; its health checks still pass.
    pub fn fail_from_now_on(&self) {
        self.fails.store(true, Ordering::SeqCst);
    }

    /// Kills it, and returns when nothing of it is left.
    pub fn kill(&self) {
        self.alive.cancel();
        if let Some(thread) = self.thread.lock().unwrap().take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.kill();
    }
}

fn app(served: &Arc<AtomicU64>, fails: &Arc<AtomicBool>) -> Router {
    let (served, fails) = (Arc::clone(served), Arc::clone(fails));
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/echo", any(async |request: Request| Body::new(request.into_body())))
        .route("/collect", any(async |body: Bytes| body))
        .route("/request", any(async |request: Request| describe(&request)))
        .route("/slow", get(async || tokio::time::sleep(Duration::from_millis(300)).await))
        .route("/never", any(async || std::future::pending::<()>().await))
        .route("/large", get(async || vec![b'x'; 3_000_000]))
        .route("/fail", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .fallback(async move || match fails.load(Ordering::SeqCst) {
            true => (StatusCode::INTERNAL_SERVER_ERROR, "sorry\n"),
            false => (StatusCode::OK, "hello\n"),
        })
        .layer(axum::middleware::map_request(move |request: Request| {
            if request.uri().path() != "/healthz" {
                served.fetch_add(1, Ordering::SeqCst);
            }
            async { request }
        }))
}

/// Describes a request as received: its first line, then its headers.
fn describe(request: &Request) -> String {
    let mut text = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\n", value.to_str().unwrap());
    }
    text
}

/// A balancer, stopped when dropped.
pub struct Balancer {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub vitals: Arc<Vitals>,
    pub stop: CancellationToken,
    pub running: Option<Running>,
}

impl Balancer {
    pub async fn start(flags: &[&str]) -> Self {
        Self::start_all(Resolver::system(), flags, |_| {}).await
    }

    pub async fn start_with_names(names: Resolver, flags: &[&str]) -> Self {
        Self::start_all(names, flags, |_| {}).await
    }

    /// Starts with a configuration that no flag can express.
    pub async fn start_changed(flags: &[&str], change: impl FnOnce(&mut Config)) -> Self {
        Self::start_all(Resolver::system(), flags, change).await
    }

    async fn start_all(names: Resolver, flags: &[&str], change: impl FnOnce(&mut Config)) -> Self {
        let always = [
            "lb",
            "--listen=127.0.0.1:0",
            "--admin=127.0.0.1:0",
            "--threads=2",
            "--health-interval=50ms",
            "--health-timeout=2s",
        ];
        let name = |flag: &str| flag.split('=').next().map(str::to_owned);
        let given: Vec<_> = flags.iter().map(|flag| name(flag)).collect();
        let mut all: Vec<&str> = always.into_iter().filter(|flag| !given.contains(&name(flag))).collect();
        all.extend(flags);
        let mut config = Config::check(Args::parse_from(all)).unwrap();
        change(&mut config);
        let (vitals, stop) = (Vitals::new("lb"), CancellationToken::new());
        let running = lb::start_with_names(config, names, vitals.clone(), stop.clone()).await.unwrap();
        Self { address: running.address, admin: running.admin, vitals, stop, running: Some(running) }
    }

    pub async fn over(webs: &[&Web], flags: &[&str]) -> Self {
        let upstreams: Vec<_> = webs.iter().map(|web| web.flag()).collect();
        let upstreams: Vec<_> = upstreams.iter().map(String::as_str).collect();
        Self::start(&[&upstreams, flags].concat()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        Client::open(self.address).await.get(path).await
    }

    /// Sends JSON to the admin interface.
    pub async fn admin(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        ask_admin(self.admin, method, path, body).await
    }

    pub async fn state(&self, name: &str) -> String {
        let (_, upstreams) = self.admin(Method::GET, "/upstreams", Value::Null).await;
        let upstreams = upstreams.as_array().unwrap();
        let found = upstreams.iter().find(|upstream| upstream["name"] == name);
        found.map_or_else(|| "gone".to_owned(), |found| found["state"].as_str().unwrap().to_owned())
    }

    pub async fn until_state(&self, name: &str, state: &str) {
        until(async || self.state(name).await == state, &format!("{name} is {state}")).await;
    }

    pub async fn stopped(&mut self) {
        self.stop.cancel();
        let running = self.running.take().unwrap();
        tokio::time::timeout(LIMIT, running.finished()).await.expect("the balancer stops");
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Sends JSON to an admin interface.
pub async fn ask_admin(admin: SocketAddr, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", admin.to_string())
        .body(Full::from(body))
        .unwrap();
    let answer = Client::open(admin).await.send(request).await.unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// Returns the body of a response as text.
pub async fn raw_get(address: SocketAddr, path: &str) -> String {
    Client::open(address).await.get(path).await.text().to_owned()
}

/// A complete response.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A client with one connection.
pub struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
    host: String,
}

impl Client {
    pub async fn open(address: SocketAddr) -> Self {
        Self::try_open(address).await.expect("the address accepts connections")
    }

    pub async fn try_open(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Some(Self { sender, host: address.to_string() })
    }

    pub async fn try_get(&mut self, path: &str) -> Result<Answer, hyper::Error> {
        let request = http::Request::get(path).header("host", &self.host).body(Full::default()).unwrap();
        self.send(request).await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.try_get(path).await.unwrap()
    }

    pub async fn send(&mut self, request: http::Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        let exchange = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            Ok(Answer { status: head.status, headers: head.headers, body: body.collect().await?.to_bytes() })
        };
        tokio::time::timeout(LIMIT, exchange).await.expect("an answer in time")
    }
}

/// Sends bytes, and returns everything that comes back until the other side closes.
pub async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A reset after a response does not discard the response.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(LIMIT, exchange).await.expect("the other side closes in time")
}

/// An upstream that handles each raw connection with this function, which also gets the
/// connection's number.
pub async fn raw_upstream<F>(treat: impl Fn(TcpStream, usize) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(treat(stream, number));
        }
    });
    address
}

/// Reads one request's head from a raw stream; `None` if the other side closes.
pub async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Waits for a condition, with a limit.
pub async fn until(mut condition: impl AsyncFnMut() -> bool, what: &str) {
    let end = Instant::now() + LIMIT;
    while !condition().await {
        assert!(Instant::now() < end, "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
