//! Abusive clients (slow, greedy, too many, rude): memory stays bounded, and the others are unharmed. Each
//! test prints its figures.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::processes::*;
use super::support::*;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

struct Abused {
    process: Process,
    address: SocketAddr,
}

impl Abused {
    async fn start(upstream: &str, flags: &[&str]) -> Self {
        let address = free_port();
        let mut all = vec![format!("--listen={address}"), upstream.to_owned(), "--health=off".to_owned()];
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let process = Process::start(&all);
        process.until_ready().await;
        Self { process, address }
    }

    async fn metrics(&self) -> String {
        raw_get(self.process.admin, "/metrics").await
    }

    async fn until_nothing_is_in_flight(&self) {
        let idle = async || self.metrics().await.contains(r#"in_flight{upstream="web-1"} 0"#);
        until(idle, "nothing is in flight").await;
    }

    /// Returns the longest of this many sequential requests of a well-behaved client.
    async fn slowest_of(&self, requests: u32) -> Duration {
        let mut client = Client::open(self.address).await;
        let mut slowest = Duration::ZERO;
        for _ in 0..requests {
            let start = Instant::now();
            assert_eq!(client.get("/").await.status, 200);
            slowest = slowest.max(start.elapsed());
        }
        slowest
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

#[tokio::test]
async fn idle_connections_cost_little() {
    const IDLE: usize = 9_500;
    let web = Web::start("web-1");
    let lb = Abused::start(&web.flag(), &["--max-connections=10000", "--idle-timeout=10m"]).await;
    lb.slowest_of(100).await;
    let before = lb.process.memory();
    let mut idle = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        let mut stream = connect(lb.address).await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        read_head(&mut stream).await.unwrap();
        idle.push(stream);
    }
    let each = lb.process.memory().saturating_sub(before) / IDLE as u64;
    println!("{IDLE} idle connections: {each} bytes each");
    assert!(each < 16 * 1024, "{each} bytes for each idle connection");
    assert!(lb.slowest_of(100).await < Duration::from_secs(1));
}

#[tokio::test]
async fn slow_heads_and_bodies_are_cut_and_others_are_unharmed() {
    const SLOW: usize = 1_000;
    let web = Web::start("web-1");
    let lb = Abused::start(&web.flag(), &["--header-timeout=1s"]).await;
    let start = Instant::now();
    let begun = [
        "GET / HTTP/1.1\r\nHost: a\r\nX-",
        "POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
    ];
    let mut slow = Vec::new();
    for number in 0..SLOW {
        let mut stream = connect(lb.address).await;
        stream.write_all(begun[number % 2].as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let slowest = lb.slowest_of(200).await;
    for mut stream in slow {
        let mut answer = String::new();
        tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    println!("{SLOW} slow clients cut after {:?}; a good one waited {slowest:?} at most", start.elapsed());
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    lb.until_nothing_is_in_flight().await;
}

/// A byte now and then is no progress: one limit covers the whole head.
#[tokio::test]
async fn a_head_that_drips_is_cut_as_well() {
    let web = Web::start("web-1");
    let lb = Abused::start(&web.flag(), &["--header-timeout=300ms"]).await;
    let mut stream = connect(lb.address).await;
    let start = Instant::now();
    let (mut reader, mut writer) = stream.split();
    let dripping = async {
        let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".iter().chain(std::iter::repeat(&b'x'));
        while writer.write_all(&[*bytes.next().unwrap()]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        std::future::pending::<()>().await
    };
    let mut answer = [0; 12];
    tokio::select! {
        read = reader.read_exact(&mut answer) => { read.unwrap(); }
        () = dripping => unreachable!(),
        () = tokio::time::sleep(LIMIT) => panic!("it drips for ever"),
    }
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn slow_readers_hold_a_bounded_amount() {
    const READERS: usize = 500;
    let web = Web::start("web-1");
    let lb = Abused::start(&web.flag(), &[]).await;
    let before = lb.process.memory();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut stream = connect(lb.address).await;
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        read_head(&mut stream).await.unwrap();
        readers.push(stream);
    }
    let slowest = lb.slowest_of(50).await;
    let growth = lb.process.memory().saturating_sub(before);
    println!("{READERS} slow readers of 3 MB: {} KiB more; a good one waited {slowest:?}", growth / 1024);
    assert!(growth < 64 * MIB, "{growth}");
    drop(readers);
    lb.until_nothing_is_in_flight().await;
}

/// An upstream that reads everything, and returns as many bytes as the request's target says.
async fn bulk() -> String {
    let address = raw_upstream(async |mut stream, _| {
        while let Some(head) = read_head(&mut stream).await {
            let number = |text: &str| text.split(['\r', ' ']).next().unwrap().parse::<u64>().unwrap();
            let length = head.split_once("content-length: ").map_or(0, |(_, rest)| number(rest));
            let sent = number(head.split_once(" /").unwrap().1);
            tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink()).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {sent}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            tokio::io::copy(&mut tokio::io::repeat(b'x').take(sent), &mut stream).await.unwrap();
        }
    })
    .await;
    format!("--upstream=web-1={address}")
}

#[tokio::test]
async fn a_body_of_a_gibibyte_streams_through_in_little_memory() {
    let lb = Abused::start(&bulk().await, &["--max-body-bytes=2GiB"]).await;
    let mut peak = lb.process.memory();
    for (sent, received) in [(GIB, 0), (0, GIB)] {
        let start = Instant::now();
        let mut stream = connect(lb.address).await;
        let head = format!("POST /{received} HTTP/1.1\r\nHost: a\r\nContent-Length: {sent}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b'x'; 256 * 1024];
        for _ in 0..sent / piece.len() as u64 {
            stream.write_all(&piece).await.unwrap();
        }
        peak = peak.max(lb.process.memory());
        assert!(read_head(&mut stream).await.unwrap().starts_with("HTTP/1.1 200 "));
        let (mut left, mut piece) = (received, vec![0; 256 * 1024]);
        while left > 0 {
            left -= stream.read(&mut piece).await.unwrap() as u64;
            if left % 64 == 0 {
                peak = peak.max(lb.process.memory());
            }
        }
        println!("a GiB in {:?}, at most {} KiB resident", start.elapsed(), peak / 1024);
    }
    assert!(peak < 64 * MIB, "{peak}");
}

/// Connections are opened and dropped in the middle of whatever they do.
#[tokio::test]
async fn churn_leaves_nothing_behind() {
    const CONNECTIONS: usize = 3_000;
    // What the allocator keeps depends on how many happened to be open at once, and fluctuates by some 60
    // MiB. A leak only grows: 2 KiB a connection would show in the minimum over as many more rounds.
    const ROUNDS: usize = 12;
    let web = Web::start("web-1");
    let lb = Abused::start(&web.flag(), &["--request-timeout=2s"]).await;
    let first = least_after_rudeness(&lb, ROUNDS, CONNECTIONS).await / MIB;
    let later = least_after_rudeness(&lb, ROUNDS, CONNECTIONS).await / MIB;
    println!("{ROUNDS} times {CONNECTIONS} rude clients: at least {first} MiB; as many more: {later} MiB");
    assert!(first < 128 && later < first + 64, "{first} {later}");
    assert!(lb.slowest_of(100).await < Duration::from_secs(1));
}

async fn least_after_rudeness(lb: &Abused, rounds: usize, connections: usize) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..rounds {
        least = memory_after_rudeness(lb, connections).await.min(least);
    }
    least
}

async fn memory_after_rudeness(lb: &Abused, connections: usize) -> u64 {
    let rude = [
        "",
        "GET",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        "nonsense\r\n\r\n",
    ];
    for number in 0..connections {
        let mut stream = connect(lb.address).await;
        stream.write_all(rude[number % rude.len()].as_bytes()).await.unwrap();
    }
    lb.until_nothing_is_in_flight().await;
    lb.process.memory()
}

#[tokio::test]
async fn upstreams_come_and_go_under_load_without_a_failed_request() {
    const CHANGES: usize = 1_000;
    let (one, two) = (Web::start("web-1"), Web::start("web-2"));
    let lb = Abused::start(&one.flag(), &[]).await;
    let stop = CancellationToken::new();
    let clients: Vec<_> = (0..8).map(|_| tokio::spawn(ask_until(lb.address, stop.clone()))).collect();
    let start = Instant::now();
    for _ in 0..CHANGES / 2 {
        let newcomer = json!({ "name": "web-2", "address": two.address.to_string() });
        lb.process.ask(Method::POST, "/upstreams", newcomer).await;
        let removed = lb.process.ask(Method::DELETE, "/upstreams/web-2", Value::Null).await;
        assert_eq!(removed["drained"], true, "{removed}");
    }
    let took = start.elapsed();
    stop.cancel();
    let mut asked = 0;
    for client in clients {
        asked += client.await.unwrap();
    }
    println!("{CHANGES} changes in {took:?} under {asked} requests, none failed");
    assert!(
        asked > 100 && two.served() > 0,
        "{asked} requests, {} by the one that comes and goes",
        two.served()
    );
}

async fn ask_until(address: SocketAddr, stop: CancellationToken) -> u32 {
    let mut client = Client::open(address).await;
    let mut asked = 0;
    while !stop.is_cancelled() {
        assert_eq!(client.get("/").await.status, 200);
        asked += 1;
    }
    asked
}

#[tokio::test]
async fn running_out_of_files_is_survived() {
    const CLIENTS: usize = 1_000;
    let web = Web::start("web-1");
    let address = free_port();
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 256; exec "$0" "$@""#, env!("CARGO_BIN_EXE_lb")]);
    let flags = [format!("--listen={address}"), web.flag(), "--header-timeout=500ms".to_owned()];
    let process = Process::start_by(command, free_port(), &flags);
    process.until_ready().await;
    let lb = Abused { process, address };
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(connect(address).await);
    }
    drop(clients);
    until(
        async || {
            let asking = async { Client::try_open(address).await?.try_get("/").await.ok() };
            asking.await.is_some_and(|answer| answer.status == 200)
        },
        "it serves again",
    )
    .await;
    assert!(lb.slowest_of(50).await < Duration::from_secs(2));
}
