//! Three real processes, their directories, and the links between them.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::links::{Link, Passage};
use crate::plan::Plan;
use crate::verdict::Failure;

/// The secret that the members share.
const SECRET: &str = "a secret that only these three members know";

/// The size of a small disk: it holds two segments of the log, the space reserved for the next
/// ones, and the snapshot.
const DISK: &str = "size=96m";

/// The file that fills a disk.
const FILLER: &str = "filler";

/// Three nodes. They are killed when this is dropped.
pub struct Cluster {
    directory: TempDir,
    network: u8,
    /// Reserves the network while this is open.
    _reserved: TcpListener,
    mode: &'static str,
    log_entries: u32,
    bug: Option<&'static str>,
    nodes: [Option<Child>; 3],
    frozen: [bool; 3],
    /// The links, by dialing and dialed node.
    links: Vec<((usize, usize), Link)>,
    disks: Disks,
}

/// The kind of disks that hold the directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disks {
    /// A small disk for each node, which can be filled. Creating them requires root.
    Small,
    /// The disk of this computer.
    Shared,
}

impl Cluster {
    /// Starts three nodes that do not know each other yet.
    pub async fn start(plan: &Plan) -> Self {
        let directory = TempDir::with_prefix("chaos-").unwrap();
        fs::write(directory.path().join("secret"), SECRET).unwrap();
        let (network, reserved) = reserve();
        let mut cluster = Self {
            directory,
            network,
            _reserved: reserved,
            mode: plan.mode.name(),
            log_entries: plan.log_entries,
            bug: plan.bug,
            nodes: [const { None }; 3],
            frozen: [false; 3],
            links: Vec::new(),
            disks: Disks::Small,
        };
        for (from, to) in pairs() {
            let link = Link::open(cluster.link_address(from, to), cluster.peer_address(to)).await;
            cluster.links.push(((from, to), link));
        }
        for node in 0..3 {
            fs::create_dir(cluster.data(node)).unwrap();
            if cluster.disks == Disks::Small && !mount(&cluster.data(node)) {
                assert!(std::env::var_os("CI").is_none(), "CI can mount a small disk");
                println!("SKIPPED: full disks, because no small one can be mounted; run this as root");
                cluster.disks = Disks::Shared;
            }
            cluster.run(node);
        }
        cluster
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Keeps the nodes' logs and everything else written next to their data, and returns the path.
    pub fn keep(&mut self) -> PathBuf {
        self.directory.disable_cleanup(true);
        self.directory.path().to_owned()
    }

    fn host(&self, number: usize) -> [u8; 4] {
        [127, 83, self.network, u8::try_from(number).unwrap()]
    }

    /// The client address of a node.
    pub fn address(&self, node: usize) -> SocketAddr {
        SocketAddr::from((self.host(node + 1), 7001))
    }

    fn peer_address(&self, node: usize) -> SocketAddr {
        SocketAddr::from((self.host(node + 1), 7101))
    }

    fn link_address(&self, from: usize, to: usize) -> SocketAddr {
        SocketAddr::from((self.host(10 + from * 3 + to), 7101))
    }

    fn data(&self, node: usize) -> PathBuf {
        self.directory.path().join(name(node))
    }

    fn copy(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("{}.copy", name(node)))
    }

    pub fn can_fill(&self) -> bool {
        self.disks == Disks::Small
    }

    pub fn is_up(&self, node: usize) -> bool {
        self.nodes[node].is_some()
    }

    /// Starts a node that is down.
    pub fn run(&mut self, node: usize) {
        let log = File::options().create(true).append(true).open(self.log_file(node)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dbnode"));
        command.args(["--id", &name(node), "--replication", self.mode]);
        command.args(["--listen", &self.address(node).to_string()]);
        command.args(["--peer-listen", &self.peer_address(node).to_string()]);
        for peer in (0..3).filter(|peer| *peer != node) {
            command.args(["--peer", &format!("{}={}", name(peer), self.link_address(node, peer))]);
        }
        command.arg("--data").arg(self.data(node)).arg("--secret-file").arg(self.directory().join("secret"));
        command.args(["--log-entries", &self.log_entries.to_string()]).env("RUST_LOG", "info").stderr(log);
        command.envs(self.bug.map(|bug| ("DBNODE_PLANTED", bug)));
        self.nodes[node] = Some(command.spawn().unwrap());
    }

    fn log_file(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("{}.log", name(node)))
    }

    /// Sends SIGKILL.
    pub fn kill(&mut self, node: usize) {
        self.frozen[node] = false;
        if let Some(mut child) = self.nodes[node].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends SIGKILL to all, before waiting for any of them.
    pub fn kill_all(&mut self) {
        for child in self.nodes.iter_mut().flatten() {
            child.kill().unwrap();
        }
        (0..3).for_each(|node| self.kill(node));
    }

    /// Sends SIGTERM, and waits until the node has ended, up to a limit.
    pub async fn stop(&mut self, node: usize) -> Result<(), Failure> {
        self.signal(node, Signal::SIGTERM);
        let Some(mut child) = self.nodes[node].take() else { return Ok(()) };
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            match child.try_wait().unwrap() {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(Failure::Broken(format!("{} was told to stop: {status}", name(node))));
                }
                None if Instant::now() > limit => {
                    self.nodes[node] = Some(child);
                    return Err(Failure::Stuck(format!("{} was told to stop, and does not", name(node))));
                }
                None => sleep(Duration::from_millis(5)).await,
            }
        }
    }

    pub fn freeze(&mut self, node: usize) {
        self.frozen[node] = self.is_up(node);
        self.signal(node, Signal::SIGSTOP);
    }

    pub fn thaw(&mut self, node: usize) {
        self.frozen[node] = false;
        self.signal(node, Signal::SIGCONT);
    }

    fn signal(&self, node: usize, signal: Signal) {
        if let Some(child) = &self.nodes[node] {
            kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        }
    }

    /// Sets the mode of the links for which `which` is true.
    pub fn set_links(&self, passage: Passage, which: impl Fn(usize, usize) -> bool) {
        let links = self.links.iter().filter(|((from, to), _)| which(*from, *to));
        links.for_each(|(_, link)| link.set(passage));
    }

    /// Fills the disk of a node.
    pub fn fill(&self, node: usize) {
        if self.disks == Disks::Shared {
            return;
        }
        let mut filler = File::create(self.data(node).join(FILLER)).unwrap();
        for piece in [1 << 20, 1 << 12] {
            let piece = vec![1; piece];
            while filler.write_all(&piece).is_ok() {}
        }
    }

    pub fn empty(&self, node: usize) {
        match fs::remove_file(self.data(node).join(FILLER)) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }

    /// Empties the directory of a node that is down.
    pub fn clear(&self, node: usize) {
        for entry in fs::read_dir(self.data(node)).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => fs::remove_dir_all(entry.path()).unwrap(),
                false => fs::remove_file(entry.path()).unwrap(),
            }
        }
    }

    /// Copies the directory of a node that is down.
    pub fn make_copy(&self, node: usize) {
        let _ = fs::remove_dir_all(self.copy(node));
        fs::create_dir(self.copy(node)).unwrap();
        copy(&self.data(node), &self.copy(node));
    }

    /// Replaces the directory of a node that is down with its copy. True if there is a copy.
    pub fn put_back(&self, node: usize) -> bool {
        let is_there = self.copy(node).exists();
        if is_there {
            self.clear(node);
            copy(&self.copy(node), &self.data(node));
        }
        is_there
    }

    /// Fails if a node has ended on its own.
    pub fn ended(&mut self) -> Result<(), Failure> {
        for node in 0..3 {
            let Some(status) = self.nodes[node].as_mut().and_then(|child| child.try_wait().unwrap()) else {
                continue;
            };
            self.nodes[node] = None;
            let log = fs::read_to_string(self.log_file(node)).unwrap_or_default();
            let last: Vec<_> = log.lines().rev().take(5).collect();
            let last: Vec<_> = last.into_iter().rev().collect();
            let how = status.signal().map_or(status.to_string(), |signal| format!("signal {signal}"));
            let last = last.join("\n");
            return Err(Failure::Broken(format!(
                "{} ended by itself ({how}); its last words:\n{last}",
                name(node)
            )));
        }
        Ok(())
    }

    /// The status of a node; `None` if it does not answer.
    pub fn status(&self, node: usize) -> Option<Value> {
        if self.frozen[node] || !self.is_up(node) {
            return None;
        }
        serde_json::from_str(&get(self.address(node), "/status")?).ok()
    }

    /// The primary; if there are several, the one with the highest term.
    pub fn primary(&self) -> Option<(usize, Value)> {
        let statuses = (0..3).filter_map(|node| Some((node, self.status(node)?)));
        let primaries = statuses.filter(|(_, status)| status["role"] == "primary");
        primaries.max_by_key(|(_, status)| status["term"].as_u64())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kill_all();
        if self.disks == Disks::Small {
            for node in 0..3 {
                let _ = Command::new("umount").arg("--lazy").arg(self.data(node)).status();
            }
        }
    }
}

/// The name of a node.
pub fn name(node: usize) -> String {
    format!("db-{}", node + 1)
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..3).flat_map(|from| (0..3).map(move |to| (from, to))).filter(|(from, to)| from != to)
}

/// Reserves a loopback network that no other run uses, in this process or another.
fn reserve() -> (u8, TcpListener) {
    static NEXT: AtomicU8 = AtomicU8::new(50);
    loop {
        let network = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(network < 250, "no network is free");
        if let Ok(taken) = TcpListener::bind(SocketAddr::from(([127, 83, network, 9], 7000))) {
            return (network, taken);
        }
    }
}

fn mount(directory: &Path) -> bool {
    let mount = ["-t", "tmpfs", "-o", DISK, "tmpfs"];
    let mounted = Command::new("mount").args(mount).arg(directory).status();
    mounted.is_ok_and(|status| status.success())
}

/// Copies a directory with its content, except the filler file.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else if entry.file_name() != FILLER {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The body of a response; `None` unless its status is 200.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: db-1\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}
