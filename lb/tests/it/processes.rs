//! Balancers as separate processes, so that they can be killed and frozen.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use http::Method;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::support::*;

/// A balancer process, killed when dropped.
pub struct Process {
    pub admin: SocketAddr,
    child: Child,
}

impl Process {
    pub fn start(flags: &[String]) -> Self {
        let admin = free_port();
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_lb")), admin, flags)
    }

    /// Starts it with a command that runs the program; the flags are appended.
    pub fn start_by(mut command: Command, admin: SocketAddr, flags: &[String]) -> Self {
        let admin_flag = format!("--admin={admin}");
        let command = command.args([&admin_flag, "--threads=2", "--drain-timeout=5s"]).args(flags);
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        Self { admin, child }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has exited on its own.
    pub async fn ended(&mut self) -> i32 {
        until(async || self.child.try_wait().unwrap().is_some(), "the process ends").await;
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    pub async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        ask_admin(self.admin, method, path, body).await.1
    }

    /// Reads from the admin interface; null if it does not answer.
    pub async fn try_get(&self, path: &str) -> Value {
        let asking = async {
            let answer = Client::try_open(self.admin).await?.try_get(path).await.ok()?;
            serde_json::from_slice(&answer.body).ok()
        };
        asking.await.unwrap_or_default()
    }

    pub async fn until_ready(&self) {
        until(async || self.try_get("/upstreams").await.is_array(), "it is ready").await;
    }

    pub async fn events(&self) -> Vec<String> {
        let events = self.try_get("/events?format=json").await;
        let events = events.as_array().cloned().unwrap_or_default();
        events.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    }

    /// The number of open files.
    pub fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Its resident memory, in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address without a listener: on a loopback address of its own, where no port can be in use by
/// an outgoing connection.
pub fn free_port() -> SocketAddr {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Other runs of these tests may be under way at the same time.
    let ours = 100 + u8::try_from(std::process::id() % 100).unwrap();
    loop {
        let [high, low] = TAKEN.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let address = SocketAddr::from(([127, ours, high, low + 1], 8080));
        if std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
