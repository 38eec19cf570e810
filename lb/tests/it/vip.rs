//! Two balancers in separate network namespaces, and an address that moves between them. Needs
//! root; prints a notice if it is skipped.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP, SIGTERM};

use super::processes::*;
use super::support::*;

const ADDRESS: &str = "10.77.0.100:8080";

/// A client's host with a switch in it, and two hosts for balancers.
struct Network {
    names: [String; 3],
}

impl Network {
    /// Returns `None` if this user may not create one.
    fn build() -> Option<Self> {
        if !nix::unistd::Uid::effective().is_root() {
            eprintln!("SKIPPED: an address that moves needs root and network namespaces");
            return None;
        }
        let names = ["c", "a", "b"].map(|host| format!("lb{}{host}", std::process::id()));
        if !try_ip(&format!("netns add {}", names[0])) {
            eprintln!("SKIPPED: this machine does not let root make network namespaces");
            return None;
        }
        let network = Self { names };
        let client = &network.names[0];
        ip(&format!("-n {client} link add switch type bridge"));
        ip(&format!("-n {client} address add 10.77.0.1/24 dev switch"));
        ip(&format!("-n {client} link set switch up"));
        for (number, host) in network.names.iter().enumerate().skip(1) {
            ip(&format!("netns add {host}"));
            ip(&format!("-n {host} link set lo up"));
            ip(&format!("-n {client} link add port{number} type veth peer name eth0 netns {host}"));
            ip(&format!("-n {client} link set port{number} master switch up"));
            ip(&format!("-n {host} address add 10.77.0.{}/24 dev eth0", number + 1));
            ip(&format!("-n {host} link set eth0 up"));
        }
        Some(network)
    }

    fn start(&self, host: usize) -> Process {
        let secret = std::env::temp_dir().join(&self.names[host]);
        std::fs::write(&secret, "sixteen letters and more").unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[host], env!("CARGO_BIN_EXE_lb")]);
        let flags = [
            format!("--listen={ADDRESS}"),
            format!("--pair-id=lb-{host}"),
            format!("--pair-listen=10.77.0.{}:8082", host + 1),
            format!("--pair-peer=10.77.0.{}:8082", 4 - host),
            format!("--pair-priority={}", 101 - host),
            format!("--pair-secret-file={}", secret.display()),
            "--takeover=vip".to_owned(),
        ];
        Process::start_by(command, "127.0.0.1:8081".parse().unwrap(), &flags)
    }

    /// Sends a GET from this host.
    fn get(&self, host: usize, address: &str, path: &str) -> Option<String> {
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.names[host])).unwrap();
        let (address, path) = (address.parse().unwrap(), path.to_owned());
        // A separate thread, because it stays in the namespace it enters.
        let asking = std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            get(address, &path)
        });
        asking.join().unwrap()
    }

    fn role(&self, host: usize) -> String {
        let pair = self.get(host, "127.0.0.1:8081", "/pair").unwrap_or_default();
        let role = pair.split_once(r#""role":""#).and_then(|(_, rest)| rest.split_once('"'));
        role.map_or("silent", |(role, _)| role).to_owned()
    }

    async fn until_role(&self, host: usize, role: &str) {
        until(async || self.role(host) == role, &format!("host {host} is {role}")).await;
    }

    /// Waits for an answer. There is no upstream, so a 503 from a balancer is enough.
    async fn until_answers(&self) -> Duration {
        let start = Instant::now();
        until(
            async || self.get(0, ADDRESS, "/").is_some_and(|said| said.contains("no_upstream")),
            "it answers",
        )
        .await;
        start.elapsed()
    }

    fn has_address(&self, host: usize) -> bool {
        let command = ["-n", &self.names[host], "address", "show", "dev", "eth0"];
        let output = Command::new("ip").args(command).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("10.77.0.100/32")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.names {
            try_ip(&format!("netns del {name}"));
            let _ = std::fs::remove_file(std::env::temp_dir().join(name));
        }
    }
}

fn get(address: SocketAddr, path: &str) -> Option<String> {
    let patience = Duration::from_millis(100);
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    Some(said)
}

fn try_ip(command: &str) -> bool {
    Command::new("ip").args(command.split(' ')).status().is_ok_and(|status| status.success())
}

fn ip(command: &str) {
    assert!(try_ip(command), "ip {command}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_moves_when_its_owner_dies_freezes_or_leaves() {
    let Some(network) = Network::build() else { return };
    let mut first = network.start(1);
    network.until_role(1, "active").await;
    let second = network.start(2);
    network.until_role(2, "standby").await;
    network.until_answers().await;
    assert!(network.has_address(1) && !network.has_address(2));

    first.kill();
    let outage = network.until_answers().await;
    println!("from the kill to an answer from the other host: {outage:?}");
    assert!(outage < Duration::from_millis(1500), "{outage:?}");
    assert!(network.has_address(2));
    until(async || !network.has_address(1), "the kernel takes the address of the dead away").await;

    let first = network.start(1);
    network.until_role(1, "standby").await;
    second.signal(SIGSTOP);
    network.until_role(1, "active").await;
    network.until_answers().await;
    second.signal(SIGCONT);
    network.until_role(2, "standby").await;
    until(async || !network.has_address(2), "it gives up what it held when it was frozen").await;
    assert_eq!(network.role(1), "active", "and the other one keeps it");

    until(
        async || {
            network.get(1, "127.0.0.1:8081", "/pair").unwrap_or_default().contains(r#""said":"standby""#)
        },
        "heard",
    )
    .await;
    first.signal(SIGTERM);
    network.until_role(2, "active").await;
    assert!(network.until_answers().await < Duration::from_millis(500));
}
