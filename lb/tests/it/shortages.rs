//! A shortage of the balancer's own is no upstream's fault: none is ejected for it, and requests
//! get an error that says so. Some tests need root, for a network namespace with few ports.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::processes::*;
use super::support::*;

/// Runs a test in a network namespace with these local ports. Prints a notice if it cannot.
fn with_local_ports(ports: std::ops::RangeInclusive<u16>, test: impl AsyncFnOnce() + Send) {
    let run = || {
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            eprintln!("SKIPPED: a network of its own needs root");
            return;
        }
        // Processes started from this thread are in the same network namespace.
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
        assert!(up.success());
        let range = format!("{} {}", ports.start(), ports.end());
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", range).unwrap();
        // The port of a closed connection stays taken.
        std::fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "0").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    };
    std::thread::scope(|threads| threads.spawn(run).join().unwrap());
}

/// Opens connections to a server until no local port is left. A check may hold one until it is
/// over, so this is complete once a check has found none.
async fn take_all_ports(lb: &Balancer, web: &Web) -> Vec<TcpStream> {
    let mut taken = Vec::new();
    let all_are_taken = async || {
        let none_for_checks = shortages(lb, "ports") > 0;
        match TcpStream::connect(web.address).await {
            Ok(stream) => {
                // Its port is free as soon as it is dropped.
                stream.set_zero_linger().unwrap();
                taken.push(stream);
                false
            }
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::AddrNotAvailable, "{error}");
                none_for_checks
            }
        }
    };
    until(all_are_taken, "all ports are taken, and a check has found none").await;
    taken
}

fn shortages(lb: &Balancer, kind: &str) -> u64 {
    value(&lb.vitals.render(), &format!(r#"lb_local_shortages_total{{kind="{kind}"}}"#))
}

/// Returns the value of a line of metrics.
fn value(metrics: &str, line: &str) -> u64 {
    let found = metrics.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("{line} in {metrics}"))
}

/// Any check or request that could eject an upstream does so at its first failure.
const STRICT: [&str; 4] = ["--passive-fall=1", "--fall=1", "--health-interval=20ms", "--threads=1"];

async fn ejections(lb: &Balancer) -> usize {
    let (_, events) = lb.admin(Method::GET, "/events?format=json", Value::Null).await;
    events.as_array().unwrap().iter().filter(|event| event["event"] == "ejected").count()
}

#[test]
fn an_upstream_that_no_port_is_left_for_is_not_blamed() {
    with_local_ports(40_000..=40_049, async || {
        let webs = [Web::start_at("web-1", "127.0.0.1:9001".parse().unwrap()), Web::start("web-2")];
        let lb = Balancer::over(&[&webs[0], &webs[1]], &STRICT).await;
        let taken = take_all_ports(&lb, &webs[0]).await;
        let mut client = Client::open(lb.address).await;
        let mut short = 0;
        for _ in 0..10 {
            let answer = client.get("/").await;
            if answer.status == 200 {
                assert_eq!(answer.header("x-served-by"), "web-2");
                continue;
            }
            assert_eq!((answer.status.as_u16(), answer.header("x-lb-error")), (503, "local_shortage"));
            assert_eq!(answer.header("retry-after"), "1");
            assert!(answer.text().contains("no local port left"), "{}", answer.text());
            short += 1;
        }
        assert_eq!(short, 5, "web-1 keeps its turns");
        assert_eq!((lb.state("web-1").await.as_str(), ejections(&lb).await), ("up", 0));
        assert_eq!(value(&lb.vitals.render(), r#"lb_requests_total{upstream="web-1",outcome="local"}"#), 5);
        drop(taken);
        until(async || client.get("/").await.header("x-served-by") == "web-1", "web-1 serves").await;
    });
}

#[test]
fn a_request_that_no_port_is_left_for_goes_elsewhere() {
    with_local_ports(40_000..=40_049, async || {
        let webs = [Web::start_at("web-1", "127.0.0.1:9001".parse().unwrap()), Web::start("web-2")];
        let lb = Balancer::over(&[&webs[0], &webs[1]], &[&STRICT[..], &["--retries=1"]].concat()).await;
        let _taken = take_all_ports(&lb, &webs[0]).await;
        let mut client = Client::open(lb.address).await;
        for _ in 0..10 {
            let answer = client.get("/").await;
            assert_eq!((answer.status.as_u16(), answer.header("x-served-by")), (200, "web-2"));
        }
        assert_eq!(ejections(&lb).await, 0);
    });
}

#[test]
fn an_upstream_that_this_machine_may_not_speak_to_is_not_blamed() {
    with_local_ports(40_000..=41_000, async || {
        let prohibited = Command::new("ip").args(["route", "add", "prohibit", "10.9.9.9"]).status().unwrap();
        assert!(prohibited.success());
        let web = Web::start("web-1");
        let flags = [&STRICT[..], &["--upstream=far=10.9.9.9:80"]].concat();
        let lb = Balancer::over(&[&web], &flags).await;
        let answers = [lb.get("/").await, lb.get("/").await];
        assert!(answers.iter().any(|answer| answer.status == 200));
        let refused = answers.iter().find(|answer| answer.status != 200).unwrap();
        assert_eq!((refused.status.as_u16(), refused.header("x-lb-error")), (503, "local_shortage"));
        until(async || shortages(&lb, "permission") > 1, "a check meets it too").await;
        assert_eq!((lb.state("far").await.as_str(), ejections(&lb).await), ("up", 0));
    });
}

/// A balancer that may open 256 files: 96 clients, and 192 files for them and their requests.
async fn with_few_files(upstream: &str) -> (Process, SocketAddr) {
    let address = free_port();
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 256; exec "$0" "$@""#, env!("CARGO_BIN_EXE_lb")]);
    let mut flags = vec![format!("--listen={address}"), upstream.to_owned()];
    flags.push("--upstream-idle-timeout=60s".to_owned());
    flags.extend(STRICT[..3].iter().map(|flag| (*flag).to_owned()));
    let process = Process::start_by(command, free_port(), &flags);
    process.until_ready().await;
    (process, address)
}

async fn metric(process: &Process, line: &str) -> u64 {
    value(&raw_get(process.admin, "/metrics").await, line)
}

#[tokio::test]
async fn without_files_requests_are_told_so_and_nobody_is_blamed() {
    let (go_on, goes_on) = tokio::sync::watch::channel(false);
    let slow = raw_upstream(move |mut stream, _| {
        let mut goes_on = goes_on.clone();
        async move {
            while let Some(head) = read_head(&mut stream).await {
                if head.starts_with("GET / ") {
                    goes_on.wait_for(|goes_on| *goes_on).await.unwrap();
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
        }
    })
    .await;
    let (process, address) = with_few_files(&format!("--upstream=web-1={slow}")).await;
    let mut clients = Vec::new();
    for _ in 0..96 {
        clients.push(Client::open(address).await);
    }
    let mut asking = JoinSet::new();
    for mut client in clients {
        asking.spawn(async move {
            let answer = client.get("/").await;
            (answer.status.as_u16(), answer.header("x-lb-error").to_owned())
        });
    }
    let mut answers = vec![asking.join_next().await.unwrap().unwrap()];
    go_on.send(true).unwrap();
    while let Some(answer) = asking.join_next().await {
        answers.push(answer.unwrap());
    }
    let short = (503, "local_shortage".to_owned());
    assert_eq!(answers[0], short);
    assert!(answers.iter().all(|answer| answer.0 == 200 || *answer == short), "{answers:?}");
    let events = process.events().await;
    assert!(!events.contains(&"ejected".to_owned()), "{events:?}");
    assert!(metric(&process, r#"lb_local_shortages_total{kind="files"}"#).await > 0);
    let mut client = Client::open(address).await;
    assert_eq!(client.get("/").await.status, 200, "when they have gone there is room again");
}

/// An upstream that answers once this many requests are there.
async fn answers_to_all_of(requests: usize) -> SocketAddr {
    let all = Arc::new(Barrier::new(requests));
    raw_upstream(move |mut stream, _| {
        let all = Arc::clone(&all);
        async move {
            while let Some(head) = read_head(&mut stream).await {
                if head.starts_with("GET / ") {
                    all.wait().await;
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
        }
    })
    .await
}

/// Idle connections to one upstream make room for requests to another.
#[tokio::test]
async fn files_of_connections_that_only_wait_are_used_for_others() {
    const CLIENTS: usize = 70;
    let (old, new) = (answers_to_all_of(CLIENTS).await, answers_to_all_of(CLIENTS).await);
    let (process, address) = with_few_files(&format!("--upstream=old={old}")).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::open(address).await);
    }
    for round in ["old", "new"] {
        let asking = clients.iter_mut().map(async |client| client.get("/").await.status.as_u16());
        assert_eq!(futures_util::future::join_all(asking).await, [200; CLIENTS], "{round}");
        let newcomer = json!({ "name": "new", "address": new.to_string() });
        process.ask(Method::POST, "/upstreams", newcomer).await;
        let is_up = async || process.try_get("/upstreams").await[1]["state"] == "up";
        until(is_up, "the new one is up").await;
        process.ask(Method::PATCH, "/upstreams/old", json!({ "drain": true })).await;
    }
}

#[tokio::test]
async fn without_files_those_inside_and_the_admin_interface_are_unharmed() {
    let web = Web::start("web-1");
    let (process, address) = with_few_files(&web.flag()).await;
    let mut inside = Client::open(address).await;
    assert_eq!(inside.get("/").await.status, 200);
    // They come all at once, and send nothing.
    let crowd = (0..1_000).map(|_| TcpStream::connect(address));
    let crowd = futures_util::future::try_join_all(crowd).await.unwrap();
    until(async || metric(&process, "lb_accept_failures_total").await > 0, "files are short").await;
    for _ in 0..20 {
        let begun = Instant::now();
        let state = process.ask(Method::GET, "/upstreams", Value::Null).await;
        assert_eq!((&state[0]["state"], &state[0]["ejections"]), (&"up".into(), &0.into()), "{state}");
        assert_eq!(inside.get("/").await.status, 200);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        // A few more than the crowd may use: one held by each thread, a check, and this request.
        assert!(process.files() <= 200, "{} files", process.files());
    }
    drop(crowd);
    let serves = async || {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let asked = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        stream.write_all(asked).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.starts_with("HTTP/1.1 200 ").then_some(())
    };
    until(async || serves().await.is_some(), "it serves again").await;
}
