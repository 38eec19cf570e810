//! The program as its operator sees it: exit codes, messages, signals.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

/// Killed when the test ends, even if it panics.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(flags: &[&str]) -> Process {
    let mut program = Command::new(env!("CARGO_BIN_EXE_webserver"));
    let program = program.args(flags).env_remove("RUST_LOG").stdin(Stdio::null()).stderr(Stdio::piped());
    Process(program.spawn().unwrap())
}

fn wait(process: &mut Process) -> ExitStatus {
    let end = Instant::now() + LIMIT;
    loop {
        match process.0.try_wait().unwrap() {
            Some(status) => return status,
            None => assert!(Instant::now() < end, "it has not ended after {LIMIT:?}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the exit code and the output.
fn run(flags: &[&str]) -> (Option<i32>, String) {
    let mut process = start(flags);
    let status = wait(&mut process);
    let mut said = String::new();
    process.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.code(), said)
}

/// Returns the address that it chose, from its first line.
fn address(process: &mut Process) -> SocketAddr {
    let mut line = String::new();
    BufReader::new(process.0.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
    address.unwrap_or_else(|| panic!("no address in {line}")).parse().unwrap()
}

#[test]
fn a_wrong_flag_ends_it_with_2_and_is_named() {
    for flags in [["--cache-ttl", "0s"], ["--db", "nowhere"], ["--cash", "local"]] {
        let (code, said) = run(&flags);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(flags[0]), "{said}");
    }
}

#[test]
fn a_busy_port_ends_it_with_1_and_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = run(&["--listen", &address]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}

#[test]
fn asked_to_stop_it_drains_and_ends_with_0() {
    let mut process = start(&["--listen", "127.0.0.1:0", "--drain-delay", "2s"]);
    let address = address(&mut process);
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask("/render").starts_with("HTTP/1.1 200 OK"));
    assert!(ask("/healthz").starts_with("HTTP/1.1 200 OK"));
    kill(Pid::from_raw(process.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    // It answers 503 first, and still serves.
    let end = Instant::now() + LIMIT;
    while !ask("/healthz").starts_with("HTTP/1.1 503") {
        assert!(Instant::now() < end, "it does not say that it is about to stop");
    }
    assert!(ask("/render").starts_with("HTTP/1.1 200 OK"));
    assert_eq!(wait(&mut process).code(), Some(0));
}
