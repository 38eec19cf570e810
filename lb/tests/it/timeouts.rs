//! Every wait has an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::processes::*;
use super::support::*;

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_a_504() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--request-timeout=400ms"]).await;
    let mut client = Client::open(lb.address).await;
    let answer = client.get("/never").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-lb-error")), (504, "upstream_timeout"));
    assert_eq!(client.get("/").await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn slow_headers_and_slow_bodies_are_a_408() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--header-timeout=50ms"]).await;
    for slow in ["GET / HTTP/1.1\r\nHos", "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf"]
    {
        let answer = raw(lb.address, slow.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
    }
}

#[tokio::test]
async fn a_quiet_connection_is_closed_without_a_word() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--header-timeout=50ms", "--idle-timeout=50ms"]).await;
    assert_eq!(raw(lb.address, b"").await, "", "one that never says anything");
    let answer = raw(lb.address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "one that says nothing more: {answer}");
}

#[tokio::test]
async fn an_upload_that_stalls_after_its_answer_has_begun_is_cut() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--idle-timeout=50ms"]).await;
    let stalled = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf";
    let answer = raw(lb.address, stalled.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    until(async || lb.vitals.render().contains(r#"in_flight{upstream="web-1"} 0"#), "nothing is left").await;
}

#[tokio::test]
async fn an_upload_that_moves_may_take_its_time() {
    let web = Web::start("web-1");
    let flags = ["--header-timeout=200ms", "--request-timeout=200ms", "--idle-timeout=200ms"];
    let lb = Balancer::over(&[&web], &flags).await;
    let exchange = async {
        let mut stream = TcpStream::connect(lb.address).await.unwrap();
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 400\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..20 {
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
            stream.write_all(&[b'x'; 20]).await.unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&"x".repeat(400)), "{answer}");
    };
    tokio::time::timeout(LIMIT, exchange).await.unwrap();
}

/// A byte now and then is not enough to occupy an upstream for ever.
#[tokio::test]
async fn an_upload_that_hardly_moves_is_a_408() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--header-timeout=200ms"]).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    writer.write_all(b"POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
    let dripping = async {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = String::new();
    let answered = async {
        tokio::select! {
            read = reader.read_to_string(&mut answer) => drop(read),
            () = dripping => {}
        }
    };
    tokio::time::timeout(LIMIT, answered).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

/// A listener with a full backlog drops new connections: the closest to a black hole on loopback, for as long
/// as both return values are kept.
async fn black_hole() -> (std::net::TcpListener, Vec<TcpStream>) {
    let full = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = full.local_addr().unwrap();
    let mut kept = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(std::time::Duration::from_millis(300), TcpStream::connect(address)).await
    {
        kept.push(stream);
    }
    (full, kept)
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_a_504() {
    let (hole, _full) = black_hole().await;
    let upstream = format!("--upstream=hole={}", hole.local_addr().unwrap());
    let lb = Balancer::start(&[&upstream, "--health=off", "--connect-timeout=50ms"]).await;
    let answer = lb.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-lb-error")), (504, "connect_timeout"));
}

/// A host that is switched off answers nothing, not even a refusal.
#[tokio::test]
async fn who_cannot_be_reached_costs_one_try_and_not_the_request() {
    let (hole, _full) = black_hole().await;
    let upstream = format!("--upstream=hole={}", hole.local_addr().unwrap());
    let web = Web::start("web-1");
    let limits = ["--retries=1", "--try-timeout=100ms", "--request-timeout=800ms"];
    let lb =
        Balancer::start(&[&[upstream.as_str(), &web.flag(), "--health=off"], &limits[..]].concat()).await;
    for _ in 0..4 {
        assert_eq!(lb.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn a_connection_to_an_upstream_that_is_not_used_is_closed() {
    let (closed, mut was_closed) = tokio::sync::mpsc::unbounded_channel();
    let address = raw_upstream(move |mut stream, _| {
        let closed = closed.clone();
        async move {
            read_head(&mut stream).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            closed.send(stream.read(&mut [0]).await.unwrap()).unwrap();
        }
    })
    .await;
    let flags = [&format!("--upstream=web-1={address}"), "--health=off", "--upstream-idle-timeout=50ms"];
    let lb = Balancer::start(&flags).await;
    assert_eq!(lb.get("/").await.status, 200);
    let end = tokio::time::timeout(LIMIT, was_closed.recv()).await.expect("it is closed");
    assert_eq!(end, Some(0));
}

/// The whole machine is frozen for a while: when it goes on, no timeout has fired.
#[tokio::test]
async fn no_limit_runs_while_everything_is_frozen() {
    let (frozen, thaws) = tokio::sync::watch::channel(false);
    let waiting = Arc::new(AtomicU64::new(0));
    let waits = Arc::clone(&waiting);
    let upstream = raw_upstream(move |mut stream, _| {
        let (mut thaws, waiting) = (thaws.clone(), Arc::clone(&waits));
        async move {
            while let Some(head) = read_head(&mut stream).await {
                if *thaws.borrow() {
                    waiting.fetch_or(if head.starts_with("GET / ") { 1 } else { 2 }, Ordering::SeqCst);
                }
                thaws.wait_for(|frozen| !frozen).await.unwrap();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
        }
    })
    .await;
    let address = free_port();
    let flags = [
        &format!("--listen={address}"),
        &format!("--upstream=web-1={upstream}"),
        "--health-interval=20ms",
        "--health-timeout=2s",
        "--fall=1",
        "--passive-fall=1",
        "--try-timeout=2s",
    ];
    let process = Process::start(&flags.map(str::to_owned));
    process.until_ready().await;
    let mut client = Client::open(address).await;
    assert_eq!(client.get("/").await.status, 200);

    frozen.send(true).unwrap();
    let asking = tokio::spawn(async move { client.get("/").await });
    until(async || waiting.load(Ordering::SeqCst) == 3, "a request and a check wait").await;
    process.signal(SIGSTOP);
    tokio::time::sleep(Duration::from_secs(3)).await;
    process.signal(SIGCONT);
    // It has noticed the time gap before any response arrives.
    process.until_ready().await;
    frozen.send(false).unwrap();
    assert_eq!(asking.await.unwrap().status, 200);
    let events = process.events().await;
    assert!(!events.contains(&"ejected".to_owned()), "{events:?}");
}
