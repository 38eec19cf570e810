//! Rejected requests: each is sent raw, is answered by the balancer, and never reaches an upstream.

use super::support::*;

async fn check(cases: &[(&str, u16)]) {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    for (request, status) in cases {
        let answer = raw(lb.address, request.as_bytes()).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{request:?}: {answer:?}");
        assert_eq!(web.served(), 0, "{request:?}");
    }
}

#[tokio::test]
async fn two_framings_are_refused() {
    check(&[
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", 400),
    ])
    .await;
}

#[tokio::test]
async fn other_codings_than_one_chunked_are_refused() {
    check(&[
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400),
    ])
    .await;
}

#[tokio::test]
async fn hosts_that_are_missing_or_doubtful_are_refused() {
    check(&[
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ])
    .await;
}

#[tokio::test]
async fn methods_that_a_balancer_does_not_pass_on_are_refused() {
    check(&[
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
        ("TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 501),
    ])
    .await;
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100_000));
    let large_header = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    let huge_header = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1_000_000));
    let many_headers = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(500));
    check(&[(&long_target, 414), (&large_header, 431), (&huge_header, 431), (&many_headers, 431)]).await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_while_it_is_read() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--max-body-bytes=1000"]).await;
    let announced = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n";
    assert!(raw(lb.address, announced.as_bytes()).await.starts_with("HTTP/1.1 413 "));
    assert_eq!(web.served(), 0);
    let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1000));
    let streamed =
        format!("POST /never HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}");
    let answer = raw(lb.address, streamed.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
    let fits = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunk}0\r\n\r\n"
    );
    assert!(raw(lb.address, fits.as_bytes()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_malformed_body_is_the_clients_fault() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    let request = "POST /never HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n";
    let answer = raw(lb.address, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("x-lb-error: bad_request"), "{answer}");
    assert!(lb.vitals.render().contains(r#"outcome="abandoned"} 1"#));
}
