//! Interim responses, and expectations (RFC 9110, 10.1.1 and 15.2).

use std::time::Instant;

use super::*;

const POST: &str = "POST /{} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

const ANSWERS: &[&str] = &[
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 103 Early Hints\r\n\r\n",
];

#[tokio::test]
async fn interim_answers_are_passed_on_to_those_who_know_them() {
    let witness = Witness::start(ANSWERS).await;
    let lb = witness.balancer().await;
    let get = |number: usize, version: &str| format!("GET /{number} HTTP/{version}\r\nHost: a\r\n\r\n");
    let hints = exchange(lb.address, &get(0, "1.1")).await;
    assert!(
        hints.text.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"),
        "{hints:?}"
    );
    let two = exchange(lb.address, &get(1, "1.1")).await;
    assert_eq!(two.text.matches("HTTP/1.1 ").count(), 3, "{two:?}");
    let old = exchange(lb.address, &get(0, "1.0")).await;
    assert!(old.text.starts_with("HTTP/1.1 200 OK\r\n"), "{old:?}");
    // Also an unsolicited one: a client that knows 1xx can skip it.
    let unasked = exchange(lb.address, &get(2, "1.1")).await;
    assert!(unasked.text.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{unasked:?}");
    let old = exchange(lb.address, &get(2, "1.0")).await;
    assert!(old.text.starts_with("HTTP/1.1 200 OK\r\n"), "{old:?}");
    let broken = exchange(lb.address, &get(3, "1.1")).await;
    assert!(broken.text.contains("\r\n\r\nHTTP/1.1 502 "), "{broken:?}");
}

#[tokio::test]
async fn an_endless_row_of_interim_answers_has_an_end() {
    let address = raw_upstream(async |mut stream, _| {
        read_head(&mut stream).await;
        while stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off"]).await;
    let reply = exchange(lb.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(reply.text.contains("HTTP/1.1 502 "), "{reply:?}");
}

/// The upstream gets the expectation, its 100 is passed on, and only then the body is sent.
#[tokio::test]
async fn an_upstream_that_wants_the_body_says_so_itself() {
    let address = raw_upstream(async |mut stream, _| {
        let head = read_head(&mut stream).await.unwrap();
        assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
        stream.write_all(b"HTTP/1.1 100 Continue\r\nX: from the upstream\r\n\r\n").await.unwrap();
        let mut body = [0; 5];
        stream.read_exact(&mut body).await.unwrap();
        assert_eq!(&body, b"hello");
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off"]).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    stream.write_all(POST.replace("{}", "").as_bytes()).await.unwrap();
    let interim = read_head(&mut stream).await.unwrap();
    assert!(interim.starts_with("HTTP/1.1 100 Continue\r\nX: from the upstream\r\n"), "{interim}");
    stream.write_all(b"hello").await.unwrap();
    assert!(read_head(&mut stream).await.unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
}

/// An upstream that never stops is cut off.
#[tokio::test]
async fn interim_answers_without_an_end_are_no_answer() {
    let address = raw_upstream(async |mut stream, _| {
        read_head(&mut stream).await.unwrap();
        while stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await.is_ok() {}
    })
    .await;
    let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off"]).await;
    let reply = exchange(lb.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(reply.text.matches("HTTP/1.1 103 ").count(), 16, "{reply:?}");
    assert!(reply.text.contains("HTTP/1.1 502 "), "{reply:?}");
}

/// Many servers ignore expectations, and just wait. A 100 that comes late is not passed on, because
/// the client has had one.
#[tokio::test]
async fn an_upstream_that_says_nothing_does_not_leave_both_waiting() {
    let address = raw_upstream(async |mut stream, _| {
        read_head(&mut stream).await.unwrap();
        let mut body = [0; 5];
        stream.read_exact(&mut body).await.unwrap();
        stream.write_all(format!("HTTP/1.1 100 Continue\r\n\r\n{OK}").as_bytes()).await.unwrap();
    })
    .await;
    let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off"]).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    let start = Instant::now();
    stream.write_all(POST.replace("{}", "").as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.unwrap().starts_with("HTTP/1.1 100 Continue\r\n"));
    assert!(start.elapsed().as_millis() >= 1000);
    stream.write_all(b"hello").await.unwrap();
    assert!(read_head(&mut stream).await.unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
}

/// An early rejection is passed on, without a 100 before it; the body will not come, or is not
/// read.
#[tokio::test]
async fn an_upstream_may_say_no_before_the_body_comes() {
    let address = raw_upstream(async |mut stream, _| {
        read_head(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    })
    .await;
    let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off"]).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    stream.write_all(POST.replace("{}", "").as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 417 No\r\n")
            && answer.contains("\r\nconnection: close\r\n")
            && answer.ends_with("no"),
        "and it is closed: {answer}"
    );
}
