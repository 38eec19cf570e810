//! The admin interface: upstreams come and go while requests flow.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::support::*;

/// Clients that send requests without pause and require a response to each.
struct Load {
    clients: JoinSet<()>,
    answered: Arc<AtomicU64>,
    end: CancellationToken,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let mut load =
            Self { clients: JoinSet::new(), answered: Arc::default(), end: CancellationToken::new() };
        for _ in 0..16 {
            let (answered, end) = (Arc::clone(&load.answered), load.end.clone());
            load.clients.spawn(async move {
                let mut client = Client::open(address).await;
                while !end.is_cancelled() {
                    let answer = client.get("/").await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        load
    }

    async fn goes_on(&self) {
        let before = self.answered.load(Ordering::SeqCst);
        until(async || self.answered.load(Ordering::SeqCst) > before + 100, "100 more answers").await;
    }

    async fn finish(mut self) {
        self.end.cancel();
        while let Some(client) = self.clients.join_next().await {
            client.expect("no request failed");
        }
    }
}

#[tokio::test]
async fn no_request_fails_while_upstreams_come_and_go() {
    let first = Web::start("web-1");
    let lb = Balancer::over(&[&first], &[]).await;
    let load = Load::start(lb.address);
    load.goes_on().await;
    for _ in 0..3 {
        let newcomer = Web::start("web-2");
        let body = json!({ "name": "web-2", "address": newcomer.address.to_string() });
        assert_eq!(lb.admin(Method::POST, "/upstreams", body).await.0, 201);
        lb.until_state("web-2", "up").await;
        until(async || newcomer.served() > 100, "the newcomer serves").await;
        let (status, removed) = lb.admin(Method::DELETE, "/upstreams/web-2", Value::Null).await;
        assert_eq!((status.as_u16(), removed), (200, json!({ "name": "web-2", "drained": true })));
        newcomer.kill();
        load.goes_on().await;
    }
    load.finish().await;
}

#[tokio::test]
async fn a_newcomer_that_is_not_ready_gets_no_request() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    // Nothing listens here any more.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let body = json!({ "name": "web-2", "address": nobody.to_string() });
    assert_eq!(lb.admin(Method::POST, "/upstreams", body).await.0, 201);
    assert_eq!(lb.state("web-2").await, "unknown");
    for _ in 0..20 {
        assert_eq!(lb.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn draining_takes_an_upstream_out_and_back() {
    let webs = [Web::start("web-1"), Web::start("web-2")];
    let lb = Balancer::over(&[&webs[0], &webs[1]], &[]).await;
    let (status, _) = lb.admin(Method::PATCH, "/upstreams/web-2", json!({ "drain": true })).await;
    assert_eq!((status.as_u16(), lb.state("web-2").await.as_str()), (200, "draining"));
    for _ in 0..10 {
        assert_eq!(lb.get("/").await.header("x-served-by"), "web-1");
    }
    lb.admin(Method::PATCH, "/upstreams/web-2", json!({ "drain": false })).await;
    assert_eq!(lb.state("web-2").await, "up");
    until(async || lb.get("/").await.header("x-served-by") == "web-2", "web-2 serves again").await;
}

#[tokio::test]
async fn removing_waits_for_requests_in_flight() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--drain-timeout=10s"]).await;
    let (address, mut slow) = (lb.address, JoinSet::new());
    slow.spawn(async move { Client::open(address).await.get("/slow").await.status });
    until(async || web.served() == 1, "the request is in flight").await;
    let (_, removed) = lb.admin(Method::DELETE, "/upstreams/web-1", Value::Null).await;
    assert_eq!(removed["drained"], true);
    assert_eq!(slow.join_next().await.unwrap().unwrap(), 200);
    assert_eq!(lb.state("web-1").await, "gone");
}

#[tokio::test]
async fn removing_does_not_wait_for_ever() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--drain-timeout=50ms"]).await;
    let address = lb.address;
    let hanging = tokio::spawn(async move { Client::open(address).await.try_get("/never").await.is_err() });
    until(async || web.served() == 1, "the request is in flight").await;
    let (_, removed) = lb.admin(Method::DELETE, "/upstreams/web-1", Value::Null).await;
    assert_eq!(removed["drained"], false);
    hanging.abort();
}

#[tokio::test]
async fn mistakes_are_answered_with_a_sentence() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    let twice = json!({ "name": "web-1", "address": "127.0.0.1:1" });
    let (status, problem) = lb.admin(Method::POST, "/upstreams", twice).await;
    assert_eq!((status.as_u16(), &problem["error"]), (409, &"name_taken".into()));
    for bad in [json!({ "name": "a b", "address": "h:1" }), json!({ "name": "a", "address": "h" })] {
        let (status, problem) = lb.admin(Method::POST, "/upstreams", bad).await;
        assert_eq!((status.as_u16(), &problem["error"]), (400, &"bad_request".into()));
    }
    let (status, problem) = lb.admin(Method::POST, "/upstreams", json!({ "nam": "a" })).await;
    assert!(status == 400 && problem["detail"].as_str().unwrap().contains("nam"), "{problem}");
    for (method, path, status, code) in [
        (Method::GET, "/events?after=-1", 400, "bad_request"),
        (Method::PUT, "/upstreams", 405, "method_not_allowed"),
        (Method::GET, "/nothing", 404, "not_found"),
    ] {
        let (answered, problem) = lb.admin(method, path, Value::Null).await;
        assert_eq!((answered.as_u16(), &problem["error"]), (status, &code.into()), "{path}");
        assert!(problem["detail"].is_string(), "{path}: {problem}");
    }
    assert_eq!(lb.admin(Method::DELETE, "/upstreams/nobody", Value::Null).await.0, 404);
    assert_eq!(lb.admin(Method::PATCH, "/upstreams/nobody", json!({ "drain": true })).await.0, 404);
}

#[tokio::test]
async fn other_hosts_and_wrong_tokens_stay_outside() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "secret").unwrap();
    let flag = format!("--admin-token-file={}", file.path().display());
    let lb = Balancer::start(&[&flag]).await;
    let request = |headers: &str| format!("GET /upstreams HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    for (headers, status) in [
        ("Host: localhost\r\nAuthorization: Bearer secret\r\n", 200),
        ("Host: localhost\r\nAuthorization: Bearer wrong!\r\n", 401),
        ("Host: localhost\r\n", 401),
        ("Host: evil.example\r\nAuthorization: Bearer secret\r\n", 403),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\nAuthorization: Bearer secret\r\n", 403),
        ("Host: localhost\r\nHost: localhost\r\nAuthorization: Bearer secret\r\n", 400),
        ("Authorization: Bearer secret\r\n", 400),
    ] {
        let answer = raw(lb.admin, request(headers).as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}: {answer}");
    }
}

/// A client that does not finish its request, or sends nothing, cannot hold its connection for
/// ever.
#[tokio::test]
async fn the_admin_interface_waits_for_nobody_for_ever() {
    let patience = Duration::from_millis(200);
    let lb = Balancer::start_changed(&[], |config| config.admin.patience = patience).await;
    let host = format!("Host: {}\r\n", lb.admin);
    let half = format!("{host}Content-Length: 1000\r\n\r\n{{");
    let chunk = format!("{host}Transfer-Encoding: chunked\r\n\r\n5\r\n{{");
    let large = format!("{host}Content-Length: 70000\r\n\r\n{}", "x".repeat(70_000));
    for (case, request, answer) in [
        ("nothing", String::new(), ""),
        ("half a line", "GET /upst".to_owned(), ""),
        ("half a head", format!("GET /upstreams HTTP/1.1\r\n{host}"), ""),
        ("half a body", format!("POST /upstreams HTTP/1.1\r\n{half}"), "HTTP/1.1 408 "),
        ("half a chunk", format!("PATCH /upstreams/web-1 HTTP/1.1\r\n{chunk}"), "HTTP/1.1 408 "),
        ("half a body where none belongs", format!("GET /metrics HTTP/1.1\r\n{half}"), "HTTP/1.1 408 "),
        ("half a body for nobody", format!("POST /nothing HTTP/1.1\r\n{half}"), "HTTP/1.1 408 "),
        (
            "half a body by a stranger",
            "POST /upstreams HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 9\r\n\r\n{".to_owned(),
            "HTTP/1.1 403 ",
        ),
        ("too much", format!("POST /upstreams HTTP/1.1\r\n{large}"), "HTTP/1.1 413 "),
        ("nothing after an answer", format!("GET /upstreams HTTP/1.1\r\n{host}\r\n"), "HTTP/1.1 200 "),
    ] {
        // The other side must close, or this would wait for longer than a test may.
        let said = raw(lb.admin, request.as_bytes()).await;
        assert!(said.starts_with(answer) && (said.is_empty() == answer.is_empty()), "{case}: {said}");
    }
    // A body that arrives slowly has one limit for all of it.
    let mut stream = TcpStream::connect(lb.admin).await.unwrap();
    stream.write_all(format!("POST /upstreams HTTP/1.1\r\n{half}").as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let dripping = async {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(patience / 10).await;
        }
    };
    let mut answer = String::new();
    let (end, ()) =
        tokio::time::timeout(LIMIT, async { tokio::join!(reader.read_to_string(&mut answer), dripping) })
            .await
            .expect("it closes");
    assert!(answer.starts_with("HTTP/1.1 408 ") || end.is_err(), "{answer}");
    assert_eq!(lb.admin(Method::GET, "/upstreams", Value::Null).await.0, 200);
}

/// A client that sends requests and reads no responses.
#[tokio::test]
async fn the_admin_interface_does_not_wait_for_its_answers_to_be_taken() {
    let patience = Duration::from_millis(200);
    let lb = Balancer::start_changed(&[], |config| config.admin.patience = patience).await;
    let mut greedy = TcpStream::connect(lb.admin).await.unwrap();
    let requests = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", lb.admin).repeat(100);
    let asking = async { while greedy.write_all(requests.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(LIMIT, asking).await.expect("its connection is broken off");
    assert_eq!(lb.admin(Method::GET, "/upstreams", Value::Null).await.0, 200);
}

#[tokio::test]
async fn events_are_told_as_they_happen_and_end_with_the_balancer() {
    let web = Web::start("web-1");
    let mut lb = Balancer::over(&[&web], &[]).await;
    let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", lb.admin);
    let admin = lb.admin;
    let listening = tokio::spawn(async move { raw(admin, request.as_bytes()).await });
    lb.admin(Method::PATCH, "/upstreams/web-1", json!({ "drain": true })).await;
    lb.stopped().await;
    let told = listening.await.unwrap();
    assert!(told.contains("event: added") && told.contains("event: draining"), "{told}");
    assert!(told.contains(r#""name":"web-1""#), "{told}");
}

#[tokio::test]
async fn counters_are_there_for_prometheus() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    lb.get("/").await;
    // The client sees the end a moment before the balancer does.
    until(async || lb.vitals.render().contains(r#"outcome="2xx"} 1"#), "it is counted").await;
    let metrics = raw(
        lb.admin,
        format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", lb.admin).as_bytes(),
    )
    .await;
    for line in [
        r#"lb_requests_total{upstream="web-1",outcome="2xx"} 1"#,
        r#"lb_upstream_up{upstream="web-1"} 1"#,
        r#"lb_in_flight{upstream="web-1"} 0"#,
        r#"lb_refused_total{error="no_upstream"} 0"#,
        r#"lb_ejections_total{upstream="web-1"} 0"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}
