//! Forwarding: what passes through, and how it looks on the other side.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::*;

#[tokio::test]
async fn bodies_pass_in_both_directions() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    let body = Bytes::from(vec![7; 1_000_000]);
    let mut client = Client::open(lb.address).await;
    for _ in 0..3 {
        let request = Request::post("/echo").header("host", "shop").body(Full::new(body.clone())).unwrap();
        let answer = client.send(request).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body == body), (200, true));
    }
    assert_eq!(client.get("/large").await.body.len(), 3_000_000);
}

#[tokio::test]
async fn hop_by_hop_headers_stay_behind_and_ours_arrive() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    let answer = raw(
        lb.address,
        b"GET http://shop/request?a=1 HTTP/1.1\r\nHost: other\r\nConnection: close, X-Hop, X-Forwarded-For\r\n\
          X-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nProxy-Connection: x\r\n\
          X-Forwarded-For: 9.9.9.9\r\nX-Request-Id: mine-1\r\n\r\n",
    )
    .await;
    assert!(answer.contains("GET /request?a=1 HTTP/1.1\n"), "{answer}");
    for arrives in ["host: shop\n", "x-forwarded-for: 127.0.0.1\n", "x-forwarded-proto: http\n"] {
        assert!(answer.contains(arrives), "{arrives} {answer}");
    }
    assert!(answer.contains("via: 1.1 lb\n") && answer.contains("x-request-id: mine-1\n"), "{answer}");
    for stays in ["x-hop:", "keep-alive:", "te:", "upgrade:", "proxy-connection:"] {
        let seen = answer.lines().any(|line| line.starts_with(stays));
        assert!(!seen, "{stays} {answer}");
    }
    assert!(answer.contains("x-served-by: web-1\r\n") && answer.contains("x-request-id: mine-1\r\n"));
}

#[tokio::test]
async fn old_clients_are_served() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    let answer = raw(lb.address, b"GET /request HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "its own version, in both directions: {answer}");
    assert!(answer.contains("GET /request HTTP/1.1\n"), "{answer}");
    assert!(answer.contains(&format!("host: {}\n", web.address)), "{answer}");
}

#[tokio::test]
async fn a_client_that_expects_100_gets_it_and_its_answer() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    let exchange = async {
        let mut stream = TcpStream::connect(lb.address).await.unwrap();
        let head = b"POST /collect HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\
                     Connection: close\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let interim = read_head(&mut stream).await.unwrap();
        assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
        stream.write_all(b"hello").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{answer}");
    };
    tokio::time::timeout(LIMIT, exchange).await.unwrap();
}

#[tokio::test]
async fn a_pipeline_is_answered_in_order() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    let pipeline =
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n\
                     POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\ntwo\
                     GET /three HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw(lb.address, pipeline).await;
    let order: Vec<_> = ["one", "two", "hello"].iter().map(|body| answer.find(body).unwrap()).collect();
    assert!(order.is_sorted() && answer.matches("HTTP/1.1 200").count() == 3, "{answer}");
}

#[tokio::test]
async fn a_client_that_has_closed_its_side_gets_its_answer() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// The upstream answers each request, and closes the connection a moment later without notice.
#[tokio::test]
async fn no_get_fails_when_the_upstream_closes_idle_connections() {
    let address = raw_upstream(async |mut stream, number| {
        let answers = number % 3 + 1;
        for _ in 0..answers {
            if read_head(&mut stream).await.is_none() {
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        }
        tokio::time::sleep(Duration::from_micros(number as u64 % 7 * 100)).await;
    })
    .await;
    let upstream = format!("--upstream=web-1={address}");
    let lb = Balancer::start(&[&upstream, "--health=off"]).await;
    let mut client = Client::open(lb.address).await;
    for request in 0..200 {
        assert_eq!(client.get("/").await.status, 200, "request {request}");
    }
}

/// It may have been executed: only the client can know whether it may be sent again.
#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let address = raw_upstream(async |mut stream, _| {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        if let Some(head) = read_head(&mut stream).await {
            assert!(head.starts_with("POST"), "{head}");
        }
    })
    .await;
    let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off", "--threads=1"]).await;
    let mut client = Client::open(lb.address).await;
    assert_eq!(client.get("/").await.status, 200);
    let request = Request::post("/").header("host", "a").body(Full::from("x")).unwrap();
    let answer = client.send(request).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("x-lb-error")), (502, "bad_answer"));
}

#[tokio::test]
async fn a_truncated_answer_is_seen_as_broken() {
    for truncated in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n",
    ] {
        let address = raw_upstream(move |mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(truncated.as_bytes()).await.unwrap();
        })
        .await;
        let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off"]).await;
        let answer = Client::open(lb.address).await.try_get("/").await;
        assert!(answer.is_err(), "{truncated:?}: {answer:?}");
        until(async || lb.vitals.render().contains(r#"outcome="broken"} 1"#), "it is counted").await;
    }
}

#[tokio::test]
async fn an_answer_with_two_framings_arrives_with_one() {
    let address = raw_upstream(async |mut stream, _| {
        while read_head(&mut stream).await.is_some() {
            let both = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
            stream.write_all(both.as_bytes()).await.unwrap();
        }
    })
    .await;
    let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off"]).await;
    let answer = raw(lb.address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.contains("transfer-encoding: chunked"), "{answer}");
    assert!(!answer.contains("content-length"), "{answer}");
}

#[tokio::test]
async fn nonsense_from_an_upstream_is_a_502() {
    for nonsense in ["nonsense\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", ""] {
        let address = raw_upstream(move |mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(nonsense.as_bytes()).await.unwrap();
        })
        .await;
        let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off"]).await;
        let answer = lb.get("/").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-lb-error")),
            (502, "bad_answer"),
            "{nonsense:?}"
        );
    }
}

/// A second, unsolicited response must not be taken for the response to the next request.
#[tokio::test]
async fn surplus_bytes_are_never_an_answer() {
    let address = raw_upstream(async |mut stream, _| {
        while read_head(&mut stream).await.is_some() {
            let twice = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
            if stream.write_all(twice.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await;
    let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off"]).await;
    let mut client = Client::open(lb.address).await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.text(), "ok");
    }
}

/// A client that has reset its connection waits for nothing, so work for it must stop.
#[tokio::test]
async fn a_client_that_resets_its_connection_is_noticed_while_it_waits() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    stream.write_all(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until(async || web.served() == 1, "it is passed on").await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    until(async || lb.vitals.render().contains(r#"outcome="abandoned"} 1"#), "it is noticed").await;
}

/// What a client pipelines is buffered only up to a limit.
#[tokio::test]
async fn a_client_that_sends_ahead_is_held_up() {
    const MUCH: usize = 64 << 20;
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    stream.write_all(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    // More than the system's own buffers hold is not accepted.
    while sent < MUCH
        && let Ok(bytes) = tokio::time::timeout(Duration::from_secs(1), stream.write(&piece)).await
    {
        sent += bytes.unwrap();
    }
    assert!(sent < MUCH, "it took everything");
}

/// A response sent before the whole request is read is not lost: the connection is not reset.
#[tokio::test]
async fn a_refusal_of_a_large_request_arrives() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--max-body-bytes=10"]).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    let head = "POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    // All of it is on its way before any response.
    stream.write_all(&[head.as_bytes(), &[b'x'; 100_000]].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the connection is not reset");
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn each_request_has_an_id_of_its_own() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--threads=2"]).await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20 {
        assert!(seen.insert(lb.get("/").await.header("x-request-id").to_owned()), "{seen:?}");
    }
}

/// If the client goes away, its upstream connection is closed too.
#[tokio::test]
async fn an_aborted_upload_never_ends_cleanly_upstream() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let address = raw_upstream(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            let mut seen = Vec::new();
            let _ = stream.read_to_end(&mut seen).await;
            tell.send(String::from_utf8(seen).unwrap()).unwrap();
        }
    })
    .await;
    let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off"]).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    let half = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    stream.write_all(half).await.unwrap();
    until(async || lb.vitals.render().contains(r#"in_flight{upstream="web-1"} 1"#), "it is passed on").await;
    drop(stream);
    let seen = tokio::time::timeout(LIMIT, told.recv()).await.unwrap().unwrap();
    assert!(seen.starts_with("POST / HTTP/1.1\r\n") && !seen.contains("\r\n0\r\n"), "{seen}");
    until(async || lb.vitals.render().contains(r#"outcome="abandoned"} 1"#), "it is counted").await;
}
