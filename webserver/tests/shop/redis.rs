//! A real Redis server at an address that no other test uses, so that its port is still free for a restart.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::{Client, Cmd, FromRedisValue, cmd};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::wait::until;

/// A Redis server, killed when the test ends, even if it panics.
pub(crate) struct Redis {
    pub(crate) address: SocketAddr,
    directory: TempDir,
    flags: Vec<String>,
    process: Child,
}

/// An address that no other test uses.
pub(crate) fn address(port: u16) -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    // The tests of one program run as threads or as processes; either way their addresses differ.
    let program = 1 + std::process::id() % 250;
    SocketAddr::from(([127, u8::try_from(program).unwrap(), 10 + high, low], port))
}

impl Redis {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(flags: &[&str]) -> Self {
        let address = address(6379);
        let directory = TempDir::new().unwrap();
        let announce = address.ip().to_string();
        let flags = [&["--replica-announce-ip", &announce], flags].concat();
        let flags: Vec<_> = flags.into_iter().map(str::to_owned).collect();
        let process = spawn(address, &directory, &flags);
        let redis = Self { address, directory, flags, process };
        redis.answers().await;
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> redis::RedisResult<T> {
        let client = Client::open(self.url())?;
        command.query_async(&mut client.get_multiplexed_async_connection().await?).await
    }

    /// `kill -9`
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// `kill -STOP`
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// `kill -CONT`
    pub(crate) fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Restarts it after it was killed, without its data.
    pub(crate) async fn restart(&mut self) {
        self.process = spawn(self.address, &self.directory, &self.flags);
        self.answers().await;
    }

    /// Makes it refuse commands that need memory, or accept them again.
    pub(crate) async fn set_full(&self, full: bool) {
        self.configure("maxmemory", if full { "1" } else { "0" }).await;
    }

    /// Counts script runs, except those that probe whether Redis takes writes or that store a copy.
    pub(crate) async fn scripts_run(&self) -> u64 {
        let stats: String = self.ask(cmd("INFO").arg("commandstats")).await.unwrap();
        let calls = |command: &str| {
            let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
            line.and_then(|rest| rest.split(',').next()).map_or(0, |calls| calls.parse::<u64>().unwrap())
        };
        // Each of those uses this once, and no other script does.
        calls("evalsha") - calls("pexpireat")
    }

    /// The path of a file in its directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Changes its configuration.
    pub(crate) async fn configure(&self, name: &str, value: &str) {
        let () = self.ask(cmd("CONFIG").arg("SET").arg(name).arg(value)).await.unwrap();
    }

    /// Gives a user these permissions only.
    pub(crate) async fn user(&self, name: &str, rights: &str) {
        let mut rules = cmd("ACL");
        rules.arg("SETUSER").arg(name).arg("reset").arg("on").arg(">hunter2");
        rules.arg(rights.split_whitespace().collect::<Vec<_>>());
        let () = self.ask(&rules).await.unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }

    async fn answers(&self) {
        until("Redis answers", async || self.ask::<String>(&cmd("PING")).await.is_ok()).await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(address: SocketAddr, directory: &TempDir, flags: &[String]) -> Child {
    let mut server = Command::new(program());
    server.args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()]);
    server.arg("--dir").arg(directory.path()).args(["--save", "", "--appendonly", "no"]);
    server.args(["--repl-diskless-sync-delay", "0"]).args(flags);
    let server = server.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    server.unwrap()
}

/// The Redis server of this computer, under either of its names.
pub(crate) fn program() -> &'static str {
    let there_is = |name: &&str| Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok();
    let found = ["redis-server", "valkey-server"].into_iter().find(there_is);
    found.expect("there is a Redis server on the PATH: scripts/test.sh installs one")
}

/// Starts a proxy to a server that delays every piece of a reply.
pub(crate) async fn slow_way_to(target: SocketAddr, delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, target, delay));
        }
    });
    address
}

async fn carry(client: TcpStream, target: SocketAddr, delay: Duration) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(target).await?.into_split();
    let asking = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let answering = async {
        let mut piece = vec![0; 1 << 16];
        loop {
            let length = from_server.read(&mut piece).await?;
            if length == 0 {
                return Ok(());
            }
            tokio::time::sleep(delay).await;
            to_client.write_all(&piece[..length]).await?;
        }
    };
    tokio::try_join!(asking, answering).map(drop)
}
