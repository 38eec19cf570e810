//! A node in this process, on its own port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use dbnode::config::Reads;
use dbnode::server::Server;
use dbnode::{Config, start};
use machine::Machine;
use machine::network::Network;
use machine::vitals::Vitals;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Time limit for anything in these tests.
const LIMIT: Duration = Duration::from_secs(20);

/// A node in this process.
pub struct TestNode {
    pub address: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<()>,
    pub data: TempDir,
}

/// A parsed response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

pub fn config(data: &Path) -> Config {
    Config {
        id: "db-1".into(),
        listen: "127.0.0.1:0".parse().unwrap(),
        advertise: None,
        cluster: None,
        data: data.to_owned(),
        query_cost: Duration::ZERO,
        reads: Reads::FromMemory,
        import: None,
        log_entries: 1_000,
        idempotency_window: Duration::from_secs(60),
        drain: Duration::from_secs(5),
    }
}

impl TestNode {
    pub async fn start() -> Self {
        Self::on(TempDir::new().unwrap()).await
    }

    pub async fn on(data: TempDir) -> Self {
        let server = start(config(data.path()), Machine::unlimited(), Network::tcp(), Vitals::new("dbnode"));
        Self::run(server.await.unwrap(), data, CancellationToken::new()).await
    }

    /// Runs a node, and waits until it serves.
    pub async fn run(server: Server, data: TempDir, stop: CancellationToken) -> Self {
        let address = server.address();
        let stopping = stop.clone();
        let running = tokio::spawn(async move { server.run(stopping).await.unwrap() });
        let node = Self { address, stop, running, data };
        let ready = async {
            while node.get("/healthz").await.status != 200 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LIMIT, ready).await.expect("it is ready in time");
        node
    }

    /// Stops the node as SIGTERM does, and starts it again.
    pub async fn restart(self) -> Self {
        let data = self.stop().await;
        Self::on(data).await
    }

    pub async fn stop(self) -> TempDir {
        self.stop.cancel();
        timeout(LIMIT, self.running).await.expect("the drain has an end").unwrap();
        self.data
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    pub async fn put(&self, path: &str, value: &[u8]) -> Answer {
        self.send("PUT", path, &[], value).await
    }

    /// Sends a request exactly as given, and reads the response.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send_to("db-1", method, path, headers, body).await
    }

    /// Like `send`, with this `Host`.
    pub async fn send_to(
        &self,
        host: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let exchange = async {
            stream.write_all(request.as_bytes()).await.unwrap();
            // The server may respond and close the connection before the whole body is sent.
            let _ = stream.write_all(body).await;
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
            bytes
        };
        Answer::parse(&timeout(LIMIT, exchange).await.expect("an answer in time"))
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let answer = Self { status, headers, body: bytes[end + 4..].to_vec() };
        if answer.header("transfer-encoding") == "chunked" {
            return Self { body: joined(&answer.body), ..answer };
        }
        answer
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts that the response is this error, with an explanation that contains these words.
    pub fn assert_problem(&self, status: u16, error: &str, words: &str) {
        let json = self.json();
        assert_eq!((self.status, &json["error"]), (status, &error.into()), "{json}");
        assert!(json["detail"].as_str().unwrap().contains(words), "{json}");
    }
}

/// Joins the chunks of a body.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|window| window == b"\r\n").expect("a chunk's length");
        let length = std::str::from_utf8(&chunks[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        body.extend_from_slice(&chunks[end + 2..end + 2 + length]);
        chunks = &chunks[end + 2 + length + 2..];
        if length == 0 {
            return body;
        }
    }
}
