//! A balancer whose lease has expired sends nothing more, at whatever point of a request that
//! happens: its peer may hold the address by now.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lb::pair::Lease;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::one_thread::*;
use super::support::*;

/// An upstream that reads one request, ends the lease, and then sends this and closes. Also returns
/// the number of requests it has seen.
async fn ends_the_lease(then: &'static str) -> (SocketAddr, Arc<AtomicU64>, Arc<OnceLock<Arc<Lease>>>) {
    let (seen, lease) = (Arc::new(AtomicU64::new(0)), Arc::new(OnceLock::<Arc<Lease>>::new()));
    let (counter, ends) = (Arc::clone(&seen), Arc::clone(&lease));
    let address = raw_upstream(move |mut stream, _| {
        let (counter, ends) = (Arc::clone(&counter), Arc::clone(&ends));
        async move {
            read_head(&mut stream).await;
            counter.fetch_add(1, Ordering::SeqCst);
            ends.get().unwrap().end();
            stream.write_all(then.as_bytes()).await.unwrap();
        }
    })
    .await;
    (address, seen, lease)
}

/// Returns everything that comes back for this request.
async fn said_to(address: SocketAddr, request: &str) -> String {
    raw(address, request.as_bytes()).await
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn with_a_lease_it_answers() {
    let web = Web::start("web-0");
    let lb = OneThread::start(&[web.address], &[]);
    assert!(said_to(lb.address, GET).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn without_a_lease_no_request_is_passed_on_and_none_is_refused() {
    let web = Web::start("web-0");
    let lb = OneThread::start(&[web.address], &["--retries=1", "--retry-idempotency-key=on"]);
    lb.lease.end();
    for request in [
        GET,
        "nonsense\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
    ] {
        assert_eq!(said_to(lb.address, request).await, "", "{request:?}");
    }
    assert_eq!(web.served(), 0);
}

#[tokio::test]
async fn an_answer_that_comes_after_the_lease_is_not_passed_on() {
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
    for (request, answer) in [
        (GET, OK),
        (GET, "HTTP/1.1 103 Early Hints\r\n\r\n"),
        (GET, "HTTP/1.1 200 OK\r\n\r\nuntil the end"),
        (GET, "no answer\r\n\r\n"),
        (GET, ""),
        (upgrade, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhello"),
    ] {
        let (upstream, seen, lease) = ends_the_lease(answer).await;
        let lb = OneThread::start(&[upstream], &[]);
        lease.set(Arc::clone(&lb.lease)).unwrap();
        assert_eq!(said_to(lb.address, request).await, "", "{answer:?}");
        assert_eq!(seen.load(Ordering::SeqCst), 1, "{answer:?}");
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The peer may have sent the same request again by now.
#[tokio::test]
async fn a_request_that_failed_after_the_lease_is_not_sent_elsewhere() {
    let ((upstream, seen, lease), web) = (ends_the_lease("").await, Web::start("web-1"));
    let lb = OneThread::start(&[upstream, web.address], &["--retries=1"]);
    lease.set(Arc::clone(&lb.lease)).unwrap();
    assert_eq!(said_to(lb.address, GET).await, "");
    assert_eq!((seen.load(Ordering::SeqCst), web.served()), (1, 0));
}

/// A client that waits for a 100 gets none from a balancer without a lease.
#[tokio::test]
async fn nobody_is_told_to_go_on_after_the_lease() {
    let upstream = raw_upstream(async |mut stream, _| {
        read_head(&mut stream).await;
        std::future::pending().await
    })
    .await;
    let lb = OneThread::start(&[upstream], &["--request-timeout=30s"]);
    let mut client = TcpStream::connect(lb.address).await.unwrap();
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(request).await.unwrap();
    // Meanwhile the balancer has forwarded the head, and waits for a second.
    tokio::time::sleep(Duration::from_millis(200)).await;
    lb.lease.end();
    let mut said = Vec::new();
    let read = tokio::time::timeout(LIMIT, client.read_to_end(&mut said)).await.expect("it closes");
    assert!(said.is_empty(), "{read:?} {}", String::from_utf8_lossy(&said));
}
