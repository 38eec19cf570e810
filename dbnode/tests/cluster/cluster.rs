//! Clusters of processes, each on its own loopback address.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dbclient::{Client, ClientLimits};
use machine::network::Network;
use tempfile::TempDir;

/// Time limit for anything in these tests.
pub const LIMIT: Duration = Duration::from_secs(20);

pub const SECRET: &str = "a secret that all members know";

/// A cluster of three processes.
pub struct Cluster {
    directory: TempDir,
    network: u8,
    mode: &'static str,
    log_entries: &'static str,
    /// Additional flags for each node.
    flags: [Vec<String>; 3],
    nodes: Vec<Option<Child>>,
}

impl Cluster {
    /// Starts three nodes, which elect a primary. Clusters of one test program use different
    /// networks.
    pub fn start(network: u8, mode: &'static str) -> Self {
        Self::with_log(network, mode, "50000")
    }

    /// Like `start`, with nodes that compact their logs at this many entries.
    pub fn with_log(network: u8, mode: &'static str, log_entries: &'static str) -> Self {
        let mut cluster = Self::new(network, mode);
        cluster.log_entries = log_entries;
        cluster.form();
        cluster
    }

    /// Three nodes that have not been started.
    pub fn new(network: u8, mode: &'static str) -> Self {
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("secret"), SECRET).unwrap();
        let nodes = vec![None, None, None];
        Self { directory, network, mode, log_entries: "50000", flags: Default::default(), nodes }
    }

    /// Adds flags to a node's command line, from its next start on.
    pub fn give(&mut self, node: usize, flags: &[&str]) {
        self.flags[node].extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    /// Starts all nodes, and waits until there is a primary and all know of the cluster.
    pub fn form(&mut self) {
        (0..3).for_each(|node| self.run(node));
        let is_fit = |node| get(self.address(node), "/healthz").is_some();
        wait_for("the cluster to form", || (0..3).all(is_fit).then_some(()));
    }

    /// A directory for files of this cluster.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The client address of a node.
    pub fn address(&self, node: usize) -> SocketAddr {
        SocketAddr::from(([127, 83, self.network, node as u8 + 1], 7001))
    }

    /// The data directory of a node.
    pub fn data(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("db-{}", node + 1))
    }

    pub fn secret(&self) -> PathBuf {
        self.directory.path().join("secret")
    }

    fn peer_address(&self, node: usize) -> SocketAddr {
        SocketAddr::from(([127, 83, self.network, node as u8 + 1], 7101))
    }

    /// The command line of a node.
    pub fn command(&self, node: usize) -> Command {
        self.command_at(node, node)
    }

    /// The command line of a second node with the same name, but its own directory and addresses.
    pub fn command_elsewhere(&self, node: usize) -> Command {
        self.command_at(node, 8)
    }

    fn command_at(&self, node: usize, place: usize) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dbnode"));
        command.args(["--id", &format!("db-{}", node + 1)]).args(&self.flags[node]);
        if !self.flags[node].iter().any(|flag| flag == "--replication") {
            command.args(["--replication", self.mode]);
        }
        command.args(["--listen", &self.address(place).to_string()]);
        command.args(["--peer-listen", &self.peer_address(place).to_string()]);
        for peer in (0..3).filter(|peer| *peer != node) {
            command.args(["--peer", &format!("db-{}={}", peer + 1, self.peer_address(peer))]);
        }
        command.arg("--data").arg(self.data(place)).arg("--secret-file").arg(self.secret());
        command.args(["--log-entries", self.log_entries]).env("RUST_LOG", "error");
        command
    }

    /// Starts a node.
    pub fn run(&mut self, node: usize) {
        self.nodes[node] = Some(self.command(node).stderr(Stdio::inherit()).spawn().unwrap());
    }

    /// Sends SIGKILL.
    pub fn kill(&mut self, node: usize) {
        let mut child = self.nodes[node].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends the signal `STOP`, `CONT` or `TERM`.
    pub fn signal(&self, node: usize, name: &str) {
        let pid = self.nodes[node].as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([format!("-{name}"), pid]).status().unwrap().success());
    }

    /// Makes a node the primary: any other primary is stopped and started again.
    pub fn make_primary(&mut self, node: usize) {
        loop {
            let primary = self.wait_for_primary();
            if primary == node {
                return;
            }
            self.signal(primary, "TERM");
            self.wait_for_end(primary);
            self.run(primary);
            self.wait_until_equal();
        }
    }

    /// Waits for a node that was told to stop.
    pub fn wait_for_end(&mut self, node: usize) {
        let mut child = self.nodes[node].take().unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// The status of a node; `None` if it does not answer.
    pub fn status(&self, node: usize) -> Option<serde_json::Value> {
        serde_json::from_str(&get(self.address(node), "/status")?).ok()
    }

    /// Waits for a primary other than this node, by the nodes' own statuses.
    pub fn wait_for_primary_other_than(&self, other: Option<usize>) -> usize {
        wait_for("a primary", || {
            let is_primary =
                |node: &usize| self.status(*node).is_some_and(|status| status["role"] == "primary");
            (0..3).filter(|node| Some(*node) != other).find(is_primary)
        })
    }

    pub fn wait_for_primary(&self) -> usize {
        self.wait_for_primary_other_than(None)
    }

    /// Waits until all have applied the same entries, and have the same records.
    pub fn wait_until_equal(&self) {
        wait_for("all nodes to be equal", || {
            let end = |node| {
                let status = self.status(node)?;
                Some((status["applied_index"].clone(), get(self.address(node), "/kv?limit=1000&read=local")?))
            };
            let ends: Option<Vec<_>> = (0..3).map(end).collect();
            ends.filter(|ends| ends.iter().all(|one| *one == ends[0])).map(drop)
        });
    }

    /// Waits until the log of all nodes records the present start of each, so that an older copy of
    /// a directory is recognised.
    pub fn wait_until_joined(&self) {
        wait_for("all replicas to have joined", || {
            let status = self.status(self.wait_for_primary())?;
            let replicas = status["replicas"].as_array()?.clone();
            (replicas.len() == 2 && replicas.iter().all(|replica| replica["joined"] == true)).then_some(())
        });
        self.wait_until_equal();
    }

    /// A client of all nodes.
    pub fn client(&self) -> Client {
        self.client_with(Duration::from_secs(5))
    }

    /// A client of all nodes with this time limit for its calls.
    pub fn client_with(&self, request: Duration) -> Client {
        let limits = ClientLimits { request, ..ClientLimits::default() };
        Client::new((0..3).map(|node| self.address(node)).collect(), Network::tcp(), limits)
    }

    /// A client of one node.
    pub fn client_of(&self, node: usize) -> Client {
        Client::new(vec![self.address(node)], Network::tcp(), ClientLimits::default())
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

/// The body of a response; `None` unless its status is 200.
pub fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: db-1\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// Polls until there is a result.
#[track_caller]
pub fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let limit = Instant::now() + LIMIT;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < limit, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
