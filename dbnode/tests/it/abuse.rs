//! Hundreds of clients that keep a node waiting, and one that behaves well.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Time limit for anything in these tests.
const LIMIT: Duration = Duration::from_secs(20);

const MIB: usize = 1 << 20;

/// A node in its own process, on its own loopback address.
struct Process {
    child: Child,
    address: SocketAddr,
    _data: TempDir,
}

impl Process {
    /// Starts a node with this limit of open files.
    fn start(host: u8, files: u32) -> Self {
        let (data, address) = (TempDir::new().unwrap(), SocketAddr::from(([127, 85, 0, host], 7001)));
        let program = env!("CARGO_BIN_EXE_dbnode");
        let command = format!("ulimit -n {files}; exec {program} --id db-1 --listen {address} --data \"$0\"");
        let mut command_line = Command::new("sh");
        let command_line = command_line.arg("-c").arg(command).arg(data.path()).env("RUST_LOG", "error");
        let child = command_line.stdin(Stdio::null()).spawn().unwrap();
        let process = Self { child, address, _data: data };
        let limit = Instant::now() + LIMIT;
        while process.ask("GET", "/healthz", b"").is_none_or(|(status, _)| status != 200) {
            assert!(Instant::now() < limit, "the node takes too long to start");
            std::thread::sleep(Duration::from_millis(5));
        }
        process
    }

    fn connect(&self) -> Option<TcpStream> {
        TcpStream::connect_timeout(&self.address, LIMIT).ok()
    }

    /// A connection on which these bytes were sent.
    fn send(&self, bytes: &[u8]) -> Option<TcpStream> {
        let mut stream = self.connect()?;
        stream.write_all(bytes).ok()?;
        Some(stream)
    }

    /// Sends a request on a new connection; returns the status, and how long it took.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Option<(u16, Duration)> {
        let (began, length) = (Instant::now(), body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let status = std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()?;
        Some((status, began.elapsed()))
    }

    fn puts(&self, key: &str, value: &[u8]) -> Duration {
        let (status, took) = self.ask("PUT", &format!("/kv/{key}"), value).expect("an answer");
        assert_eq!(status, 204, "{key}");
        took
    }

    /// The node's resident memory, in MiB.
    fn resident_mib(&self) -> usize {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096 / MIB
    }

    fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes that are not text, different for each seed.
fn bytes(seed: u8) -> Vec<u8> {
    (0..MIB).map(|at| (at as u8) ^ seed | 0x80).collect()
}

#[test]
fn idle_clients_leave_the_node_its_files() {
    let node = Process::start(1, 128);
    let mut idle = Vec::new();
    for round in 0..3 {
        idle.extend((0..200).map(|_| node.connect()));
        // Enough writes that the log needs new files, while the well-behaved client is always
        // served.
        for number in 0..12 {
            node.puts(&format!("key-{number}"), &bytes(round));
        }
        assert!(node.open_files() < 100, "{}", node.open_files());
    }
}

#[test]
fn bodies_that_do_not_end_take_little_memory_and_give_it_back() {
    let node = Process::start(2, 1_024);
    let head = format!("PUT /kv/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: {MIB}\r\n\r\n");
    let body = [head.as_bytes(), &bytes(0)[1..]].concat();
    let sending: Vec<_> = (0..300)
        .map(|_| {
            let (mut stream, body) = (node.connect().unwrap(), body.clone());
            stream.set_write_timeout(Some(LIMIT)).unwrap();
            std::thread::spawn(move || {
                // The connection may be closed before everything is sent.
                let _ = stream.write_all(&body);
                stream
            })
        })
        .collect();
    let mut most = 0;
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        let took = node.puts("small", b"value");
        assert!(took < Duration::from_secs(1), "a small write takes {took:?}");
        most = most.max(node.resident_mib());
    }
    assert!(most < 128, "{most} MiB");
    drop(sending.into_iter().map(|sending| sending.join().unwrap()).collect::<Vec<_>>());
    let limit = Instant::now() + LIMIT;
    while node.resident_mib() > 64 {
        assert!(Instant::now() < limit, "{} MiB are not given back", node.resident_mib());
        node.puts("small", b"value");
    }
}

#[test]
fn readers_that_do_not_read_hold_nobody_up() {
    let node = Process::start(3, 1_024);
    for number in 0..5 {
        node.puts(&format!("bin-{number}"), &bytes(number));
    }
    let before = node.resident_mib();
    let list = "GET /kv?limit=1000&prefix=bin&read=local HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(20);
    let readers: Vec<_> = (0..300).map(|_| node.send(list.as_bytes()).unwrap()).collect();
    let (mut slowest, mut most) = (Duration::ZERO, 0);
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        let (status, took) = node.ask("GET", "/kv/bin-0", b"").expect("an answer");
        assert_eq!(status, 200);
        (slowest, most) = (slowest.max(took), most.max(node.resident_mib()));
    }
    println!("the slowest read took {slowest:?}; {before} MiB before, at most {most} MiB");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(most < 128, "{most} MiB");
    // A list is served too, while clients that do not read are disconnected.
    let (status, took) = node.ask("GET", "/kv?prefix=bin", b"").expect("an answer");
    assert!(status == 200 || status == 503, "{status} after {took:?}");
    drop(readers);
}
