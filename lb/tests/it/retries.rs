//! Retries: a failed request is sent to another upstream, or is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::*;

/// Reads a request, counts it, and closes without a response, like a server that crashes.
async fn dies_at_work() -> (String, Arc<AtomicU64>) {
    let seen = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&seen);
    let address = raw_upstream(move |mut stream, _| {
        let counter = Arc::clone(&counter);
        async move {
            if read_head(&mut stream).await.is_some() {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    (format!("--upstream=dying={address}"), seen)
}

async fn send(lb: &Balancer, request: http::request::Builder, body: &'static str) -> Answer {
    let request = request.header("host", "shop").body(Full::from(body)).unwrap();
    Client::open(lb.address).await.send(request).await.unwrap()
}

#[tokio::test]
async fn no_get_fails_when_one_of_three_is_killed() {
    let webs = [Web::start("web-1"), Web::start("web-2"), Web::start("web-3")];
    let flags = ["--retries=1", "--passive-fall=3"];
    let lb = Balancer::over(&[&webs[0], &webs[1], &webs[2]], &flags).await;
    let mut client = Client::open(lb.address).await;
    for number in 0..100 {
        if number == 20 {
            webs[1].kill();
        }
        assert_eq!(client.get("/").await.status, 200, "request {number}");
    }
    assert!(lb.vitals.render().contains("\nlb_retries_total "), "{}", lb.vitals.render());
}

#[tokio::test]
async fn without_retries_a_failure_is_the_client_s() {
    let (dying, seen) = dies_at_work().await;
    let web = Web::start("web-1");
    let lb = Balancer::start(&[&dying, &web.flag(), "--health=off"]).await;
    let failed = [lb.get("/").await.status, lb.get("/").await.status];
    assert_eq!(failed.iter().filter(|status| status.as_u16() == 502).count(), 1);
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_get_that_met_death_goes_elsewhere_and_a_post_does_not() {
    let (dying, seen) = dies_at_work().await;
    let web = Web::start("web-1");
    let lb = Balancer::start(&[&dying, &web.flag(), "--health=off", "--retries=1"]).await;
    for request in [Request::get("/"), Request::head("/"), Request::options("/")] {
        let answer = send(&lb, request, "").await;
        assert_eq!((answer.status.as_u16(), answer.header("x-served-by")), (200, "web-1"));
    }
    let before = seen.load(Ordering::SeqCst);
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let post = Request::post("/echo").header("idempotency-key", "one");
        statuses.push(send(&lb, post, "body").await.status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 502], "one of them met the dying one, and stayed there");
    assert_eq!(seen.load(Ordering::SeqCst), before + 1);
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let mut statuses = Vec::new();
        for _ in 0..2 {
            let request = Request::builder().method(method).uri("/echo");
            statuses.push(send(&lb, request, "").await.status.as_u16());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 502], "it is the method that counts, {method}, and not the body");
    }
}

/// Once the client has seen any part of a response, even an interim one, there is no retry.
#[tokio::test]
async fn a_get_that_was_told_something_goes_nowhere_else() {
    let dying = raw_upstream(async |mut stream, _| {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await.unwrap();
    })
    .await;
    let (dying, web) = (format!("--upstream=dying={dying}"), Web::start("web-1"));
    let lb = Balancer::start(&[&dying, &web.flag(), "--health=off", "--retries=1"]).await;
    let answer = raw(lb.address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 103 ") && answer.contains("HTTP/1.1 502 "), "{answer}");
    assert_eq!(web.served(), 0);
}

/// An idle connection may be closed at the moment it is reused, and it is unknown whether the
/// request was seen: only a request that is safe to repeat is sent again.
#[tokio::test]
async fn what_met_a_connection_that_was_closed_is_sent_again_only_if_it_may_be_done_twice() {
    let seen = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&seen);
    // The first request on each connection is answered, the second finds it closed.
    let address = raw_upstream(move |mut stream, _| {
        let counter = Arc::clone(&counter);
        async move {
            for answers in [true, false] {
                if read_head(&mut stream).await.is_none() {
                    return;
                }
                counter.fetch_add(1, Ordering::SeqCst);
                if answers {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
                }
            }
        }
    })
    .await;
    for (method, body, status, times) in [
        ("GET", "", 200, 2),
        ("HEAD", "", 200, 2),
        ("DELETE", "", 200, 2),
        ("PUT", "", 200, 2),
        ("PUT", "body", 502, 1),
        ("POST", "", 502, 1),
        ("POST", "body", 502, 1),
        ("PATCH", "", 502, 1),
    ] {
        let lb =
            Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off", "--threads=1"]).await;
        assert_eq!(lb.get("/").await.status, 200, "a connection waits from now on");
        let before = seen.load(Ordering::SeqCst);
        let request = Request::builder().method(method).uri("/");
        assert_eq!(send(&lb, request, body).await.status, status, "{method} {body}");
        assert_eq!(seen.load(Ordering::SeqCst) - before, times, "{method} {body}");
    }
}

#[tokio::test]
async fn a_retry_is_never_for_the_same_server() {
    let (dying, _) = dies_at_work().await;
    let web = Web::start("web-1");
    let lb =
        Balancer::start(&[&format!("{dying};weight=9"), &web.flag(), "--health=off", "--retries=1"]).await;
    for _ in 0..10 {
        assert_eq!(lb.get("/").await.status, 200, "also when it would have the next turn");
    }
}

#[tokio::test]
async fn a_post_with_a_key_goes_elsewhere_by_consent() {
    let (dying, seen) = dies_at_work().await;
    let web = Web::start("web-1");
    let flags = [&dying[..], &web.flag(), "--health=off", "--retries=1", "--retry-idempotency-key=on"];
    let lb = Balancer::start(&flags).await;
    for _ in 0..2 {
        let answer = send(&lb, Request::post("/echo").header("idempotency-key", "one"), "body").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "body"));
        let answer = send(&lb, Request::post("/echo").header("idempotency-key", "two"), "").await;
        assert_eq!(answer.status, 200);
    }
    assert!(seen.load(Ordering::SeqCst) >= 1);
    let statuses = [
        send(&lb, Request::post("/echo"), "body").await.status.as_u16(),
        send(&lb, Request::post("/echo"), "body").await.status.as_u16(),
    ];
    assert!(statuses.contains(&502), "without a key there is no second time: {statuses:?}");
}

#[tokio::test]
async fn a_post_that_nobody_accepted_goes_elsewhere() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let web = Web::start("web-1");
    let nobody = format!("--upstream=nobody={nobody}");
    let lb = Balancer::start(&[&nobody, &web.flag(), "--health=off", "--retries=1"]).await;
    for _ in 0..4 {
        let answer = send(&lb, Request::post("/echo"), "body").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "body"));
    }
}

#[tokio::test]
async fn a_frozen_server_costs_a_try_and_not_the_request() {
    let frozen = raw_upstream(async |mut stream, _| {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await;
    })
    .await;
    let (frozen, web) = (format!("--upstream=frozen={frozen}"), Web::start("web-1"));
    let flags = [&frozen[..], &web.flag(), "--health=off", "--retries=1", "--try-timeout=100ms"];
    let lb = Balancer::start(&flags).await;
    for _ in 0..4 {
        assert_eq!(lb.get("/").await.header("x-served-by"), "web-1");
    }
}

#[tokio::test]
async fn all_tries_together_have_the_time_of_one_request() {
    let webs = [Web::start("web-1"), Web::start("web-2"), Web::start("web-3")];
    let flags = ["--retries=2", "--try-timeout=400ms", "--request-timeout=600ms"];
    let lb = Balancer::over(&[&webs[0], &webs[1], &webs[2]], &flags).await;
    let begun = Instant::now();
    let answer = lb.get("/never").await;
    let took = begun.elapsed();
    assert_eq!((answer.status.as_u16(), answer.header("x-lb-error")), (504, "upstream_timeout"));
    assert!(took >= Duration::from_millis(600), "{took:?}");
    let tries: u64 = webs.iter().map(Web::served).sum();
    assert_eq!(tries, 2, "the third try had no time left");
}

#[tokio::test]
async fn when_everything_fails_the_budget_limits_what_comes_on_top() {
    let ((one, seen_one), (two, seen_two)) = (dies_at_work().await, dies_at_work().await);
    let (one, two) = (one, two.replace("dying", "dying-too"));
    let lb = Balancer::start(&[&one, &two, "--health=off", "--retries=2"]).await;
    let mut client = Client::open(lb.address).await;
    for _ in 0..500 {
        assert_eq!(client.get("/").await.status, 502);
    }
    let attempts = seen_one.load(Ordering::SeqCst) + seen_two.load(Ordering::SeqCst);
    assert!((501..=625).contains(&attempts), "{attempts} attempts for 500 requests");
    assert!(lb.vitals.render().contains("\nlb_retries_denied_total "));
}
