//! Runs real databases behind their adapters against the contract: with the shop's own client, and with nodes killed
//! and restarted.
#![allow(clippy::unwrap_used, reason = "a test may panic; clippy knows only functions marked as tests")]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dbclient::{Client, ClientError, ClientLimits, Condition, Read};
use machine::network::Network;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::time::sleep;

/// A generous limit, even for a busy computer.
const LIMIT: Duration = Duration::from_secs(120);

/// Three nodes of a database.
struct Cluster {
    directory: TempDir,
    part: &'static str,
    program: PathBuf,
    network: u8,
    nodes: [Option<Child>; 3],
}

impl Cluster {
    async fn start(part: &'static str, program: PathBuf, network: u8) -> Self {
        let directory = TempDir::new().expect("a temporary directory can be made");
        fs::write(directory.path().join("secret"), "0123456789abcdef0123").expect("it can be written");
        fs::write(directory.path().join("import"), "{\"key\":\"product:1\",\"value\":\"one\"}\n")
            .expect("it can");
        let mut cluster = Self { directory, part, program, network, nodes: [None, None, None] };
        for node in 0..3 {
            cluster.begin(node);
        }
        for node in 0..3 {
            cluster.until_ready(node).await;
        }
        cluster
    }

    fn address(&self, node: usize, port: u16) -> SocketAddr {
        format!("127.{}.0.{}:{port}", self.network, node + 1).parse().expect("it is an address")
    }

    fn data(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("db-{}", node + 1))
    }

    fn begin(&mut self, node: usize) {
        let at = |name: &str| self.directory.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_part"));
        command.arg(self.part).arg("--program").arg(&self.program).arg("--data").arg(self.data(node));
        command.arg("--id").arg(format!("db-{}", node + 1)).args(["--replication", "quorum"]);
        command.arg("--listen").arg(self.address(node, 7001).to_string());
        command.arg("--peer-listen").arg(self.address(node, 7101).to_string());
        command.arg("--secret-file").arg(at("secret")).arg("--import").arg(at("import"));
        for peer in (0..3).filter(|peer| *peer != node) {
            command.arg("--peer").arg(format!("db-{}={}", peer + 1, self.address(peer, 7101)));
        }
        let log =
            fs::OpenOptions::new().create(true).append(true).open(at("log")).expect("it can be written");
        let log = Stdio::from(log);
        self.nodes[node] =
            Some(command.stderr(log).stdout(Stdio::null()).spawn().expect("it can be started"));
    }

    async fn until_ready(&mut self, node: usize) {
        let deadline = Instant::now() + LIMIT;
        while self.ask(node, "/healthz").await.is_none_or(|answer| !answer.starts_with("HTTP/1.1 200")) {
            let ended = self.nodes[node].as_mut().map(|child| child.try_wait());
            let ended = matches!(ended, Some(Ok(Some(_))));
            assert!(!ended && Instant::now() < deadline, "node {node} is not ready: {}", self.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn until_all_have_the_same(&self) {
        let deadline = Instant::now() + LIMIT;
        loop {
            let mut ends = Vec::new();
            for node in 0..3 {
                let answer = self.ask(node, "/status").await.unwrap_or_default();
                let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                let status: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
                ends.push((status["last_index"].clone(), status["applied_index"].clone()));
            }
            if ends.iter().all(|end| *end == ends[0] && end.0 == end.1 && end.0.is_u64()) {
                return;
            }
            assert!(Instant::now() < deadline, "they do not become the same: {ends:?}: {}", self.log());
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn ask(&self, node: usize, path: &str) -> Option<String> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(self.address(node, 7001)).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    }

    fn client(&self) -> Client {
        let nodes = (0..3).map(|node| self.address(node, 7001)).collect();
        let limits = ClientLimits { request: Duration::from_secs(10), ..ClientLimits::default() };
        Client::new(nodes, Network::tcp(), limits)
    }

    /// Sends a signal to the adapter, and waits for it: all its children die with it.
    fn signal(&mut self, node: usize, signal: Signal) -> std::process::ExitStatus {
        let mut child = self.nodes[node].take().expect("it runs");
        kill(Pid::from_raw(child.id().cast_signed()), signal).expect("it is ours");
        child.wait().expect("it can be waited for")
    }

    async fn until_nothing_is_left(&self, node: usize) {
        let deadline = Instant::now() + LIMIT;
        let (data, at) = (self.data(node), self.address(node, 7101));
        while is_used(&data) || tokio::net::TcpStream::connect(at).await.is_ok() {
            assert!(Instant::now() < deadline, "something of {} is left: {}", data.display(), self.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns whether a process has this as its working directory.
fn is_used(directory: &Path) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok()).any(|cwd| cwd == directory)
}

/// Finds a program to test with. In CI it must be installed.
#[expect(clippy::print_stderr, reason = "what is not tested is said")]
fn found(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut directories: Vec<_> = std::env::split_paths(&path).collect();
    directories.extend(versions.map(|version| version.path().join("bin")));
    let mut places = names.iter().flat_map(|name| directories.iter().map(move |place| place.join(name)));
    let found = places.find(|place| place.is_file());
    let is_needed = std::env::var_os("CI").is_some();
    assert!(found.is_some() || !is_needed, "{names:?} is missing: scripts/test.sh installs it");
    if found.is_none() {
        eprintln!("{names:?} IS MISSING, SO NOTHING WAS TESTED");
    }
    found
}

async fn keeps_the_contract(part: &'static str, program: PathBuf, network: u8, promotes: bool) {
    let mut cluster = Cluster::start(part, program, network).await;
    let client = cluster.client();

    let imported = client.get("product:1", Read::Latest).await.unwrap().expect("it was imported");
    assert_eq!(imported.value, "one");
    let first = client.put("a/b", Bytes::from_static(b"\x00\xff"), Condition::IfAbsent).await.unwrap();
    let record = client.get("a/b", Read::Latest).await.unwrap().unwrap();
    assert_eq!((record.value.as_ref(), record.version), (&b"\x00\xff"[..], first));
    let twice = client.put("a/b", Bytes::new(), Condition::IfAbsent).await;
    assert!(matches!(twice, Err(ClientError::Conflict)), "{twice:?}");
    let second = client.put("a/b", Bytes::from_static(b"2"), Condition::IfVersion(first)).await.unwrap();
    assert!(second > first);
    let late = client.put("a/b", Bytes::new(), Condition::IfVersion(first)).await;
    assert!(matches!(late, Err(ClientError::Conflict)), "{late:?}");
    client.delete("a/b", Condition::IfVersion(second)).await.unwrap();
    assert_eq!(client.get("a/b", Read::Latest).await.unwrap(), None);

    let sum = client.add("account:1", 50, Some("once")).await.unwrap();
    assert_eq!((sum.value, client.add("account:1", 50, Some("once")).await.unwrap()), (50, sum));
    let reused = client.add("account:1", 7, Some("once")).await;
    assert!(matches!(reused, Err(ClientError::BadRequest { status, .. }) if status == 422), "{reused:?}");
    let text = client.add("product:1", 1, None).await;
    assert!(matches!(text, Err(ClientError::BadRequest { status, .. }) if status == 422), "{text:?}");
    client.put("account:2", Bytes::from(i64::MAX.to_string()), Condition::Always).await.unwrap();
    let over = client.add("account:2", 1, None).await;
    assert!(matches!(over, Err(ClientError::BadRequest { status, .. }) if status == 422), "{over:?}");
    let listed = cluster.ask(0, "/kv?prefix=account:&limit=1").await.unwrap();
    assert!(listed.contains("\"key\":\"account:1\"") && listed.contains("\"more\":true"), "{listed}");
    let after = cluster.ask(0, "/kv?prefix=account:&after=account:1").await.unwrap();
    assert!(after.contains("account:2") && !after.contains("account:1") && after.contains("\"more\":false"));

    cluster.until_all_have_the_same().await;
    for node in ["db-1", "db-2", "db-3"] {
        let copy = client.get_from(node, "account:1").await.unwrap().unwrap();
        assert_eq!((copy.value.as_ref(), copy.version), (&b"50"[..], sum.version), "{node}");
    }

    // One replica is killed: the other one is enough.
    cluster.signal(2, Signal::SIGKILL);
    cluster.until_nothing_is_left(2).await;
    assert_eq!(added_twice(&cluster, &client).await, 100);
    cluster.begin(2);
    cluster.until_ready(2).await;
    cluster.until_all_have_the_same().await;

    // The primary is killed. After its restart it still has what it acknowledged, and remembers the idempotency keys.
    cluster.signal(0, Signal::SIGKILL);
    cluster.until_nothing_is_left(0).await;
    if !promotes {
        assert!(client.add("account:2", -1, None).await.is_err(), "there is no primary");
    }
    assert_eq!(client.get_from("db-2", "account:1").await.unwrap().unwrap().value, "100");
    cluster.begin(0);
    cluster.until_ready(0).await;
    assert_eq!(added_twice(&cluster, &client).await, 100);
    cluster.until_all_have_the_same().await;

    for node in [1, 2, 0] {
        assert!(cluster.signal(node, Signal::SIGTERM).success(), "{}", cluster.log());
        cluster.until_nothing_is_left(node).await;
    }
}

/// Makes the same deposit again until it is acknowledged, and returns the sum. A cluster that is electing refuses it.
async fn added_twice(cluster: &Cluster, client: &Client) -> i64 {
    let deadline = Instant::now() + LIMIT;
    loop {
        match client.add("account:1", 50, Some("twice")).await {
            Ok(sum) => return sum.value,
            Err(error) => assert!(Instant::now() < deadline, "{error}: {}", cluster.log()),
        }
    }
}

#[tokio::test]
async fn postgres_keeps_the_contract() {
    let Some(program) = found(&["postgres"]) else { return };
    keeps_the_contract("postgres", program, 90, false).await;
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    let Some(program) = found(&["redis-server", "valkey-server"]) else { return };
    keeps_the_contract("redis", program, 91, false).await;
}

#[tokio::test]
async fn redis_with_sentinels_keeps_the_contract() {
    let Some(program) = found(&["redis-server", "valkey-server"]) else { return };
    keeps_the_contract("redis-sentinel", program, 94, true).await;
}

#[tokio::test]
async fn a_replica_is_promoted_and_the_former_primary_becomes_its_replica() {
    let Some(program) = found(&["redis-server", "valkey-server"]) else { return };
    let mut cluster = Cluster::start("redis-sentinel", program, 95).await;
    let client = cluster.client();
    client.add("account:1", 50, None).await.unwrap();
    cluster.until_all_have_the_same().await;

    cluster.signal(0, Signal::SIGKILL);
    let deadline = Instant::now() + LIMIT;
    while let Err(error) = client.add("account:1", 50, Some("promoted")).await {
        assert!(Instant::now() < deadline, "{error}: {}", cluster.log());
    }
    cluster.until_nothing_is_left(0).await;
    cluster.begin(0);
    cluster.until_ready(0).await;
    let status = cluster.ask(0, "/status").await.unwrap();
    assert!(status.contains("\"role\":\"replica\""), "{status}");
    let elsewhere = cluster.ask(0, "/kv/account:1").await.unwrap();
    assert!(elsewhere.starts_with("HTTP/1.1 307"), "{elsewhere}");
    cluster.until_all_have_the_same().await;
    assert_eq!(client.get_from("db-1", "account:1").await.unwrap().unwrap().value, "100");
}

#[tokio::test]
async fn etcd_keeps_the_contract() {
    let Some(program) = found(&["etcd"]) else { return };
    keeps_the_contract("etcd", program, 93, true).await;
}

#[test]
fn a_directory_with_something_else_in_it_is_refused() {
    let Some(program) = found(&["postgres"]) else { return };
    let data = TempDir::new().expect("a temporary directory can be made");
    fs::write(data.path().join("letters"), "dear").expect("it can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_part"));
    command
        .arg("postgres")
        .arg("--program")
        .arg(program)
        .arg("--id")
        .arg("db")
        .arg("--data")
        .arg(data.path());
    let output = command.args(["--listen", "127.92.0.1:7001"]).output().expect("it can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("there is something in it"), "{said}");
    assert_eq!(fs::read_to_string(data.path().join("letters")).expect("it is still there"), "dear");
}
