//! Responses from upstreams, and what the client sees of them.

use super::*;

/// The upstream's response, the client's request, the status, and lines that it must see or (`!`)
/// must not.
type Case = (&'static str, &'static str, u16, &'static [&'static str]);

const GET: &str = "GET /{} HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &str = "HEAD /{} HTTP/1.1\r\nHost: a\r\n\r\n";
const OLD: &str = "GET /{} HTTP/1.0\r\n\r\n";
const OLD_KEPT: &str = "GET /{} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
const TRAILERS: &str = "GET /{} HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n";

/// Complete responses.
const WHOLE: &[Case] = &[
    // Framing (RFC 9112, 6.3).
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", GET, 200, &["content-length: 5", "\r\n\r\nhello"]),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", GET, 200, &["content-length: 0"]),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        GET,
        200,
        &["transfer-encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"],
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n",
        GET,
        200,
        &["5\r\nhello\r\n0\r\n\r\n", "!x=y"],
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\nContent-Length: 1\r\n\r\n",
        TRAILERS,
        200,
        &["0\r\nX: y\r\n\r\n", "!content-length"],
    ),
    ("HTTP/1.1 200 OK\r\n\r\nhello", GET, 200, &["transfer-encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"]),
    (
        "HTTP/1.0 200 OK\r\n\r\nhello",
        GET,
        200,
        &["HTTP/1.1 200", "transfer-encoding: chunked", "via: 1.0 lb"],
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        GET,
        200,
        &["transfer-encoding: chunked", "!content-length"],
    ),
    // Responses without a body.
    (
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        GET,
        204,
        &["!content-length", "!transfer-encoding"],
    ),
    (
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\n",
        GET,
        304,
        &["content-length: 5", "ETag: \"x\""],
    ),
    ("HTTP/1.1 304 Not Modified\r\n\r\n", GET, 304, &["!content-length", "!transfer-encoding"]),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HEAD, 200, &["content-length: 5"]),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD, 200, &["!\r\n\r\n0"]),
    ("HTTP/1.1 200 OK\r\n\r\n", HEAD, 200, &["!transfer-encoding"]),
    // HTTP/1.0 clients: the balancer's own version, no chunks.
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        OLD,
        200,
        &["HTTP/1.1 200", "!transfer-encoding", "\r\n\r\nhello", "connection: close"],
    ),
    ("HTTP/1.1 200 OK\r\n\r\nhello", OLD, 200, &["!transfer-encoding", "\r\n\r\nhello", "connection: close"]),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        OLD,
        200,
        &["content-length: 5", "connection: close"],
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", OLD_KEPT, 200, &["connection: keep-alive"]),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        OLD_KEPT,
        200,
        &["connection: close", "\r\n\r\nhello"],
    ),
    // Hop-by-hop fields, fields that are added, fields that pass.
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\r\n",
        GET,
        200,
        &["!x-hop", "!keep-alive", "!upgrade", "!connection:"],
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Content-Length, Date, Set-Cookie\r\nSet-Cookie: a=b\r\n\r\n",
        GET,
        200,
        &["content-length: 0", "date: "],
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        GET,
        200,
        &["date: ", "via: 1.1 lb", "x-served-by: web-1", "x-request-id: "],
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
        GET,
        200,
        &["Date: Sun, 06 Nov 1994"],
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Served-By: liar\r\nServer: s\r\n\r\n",
        GET,
        200,
        &["!liar", "Server: s"],
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n",
        GET,
        200,
        &["Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n"],
    ),
    (
        "HTTP/1.1 299 Odd words, (here)\r\nContent-Length: 0\r\n\r\n",
        GET,
        299,
        &["HTTP/1.1 299 Odd words, (here)\r\n"],
    ),
    ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", GET, 200, &["HTTP/1.1 200 \r\n"]),
    ("HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno", GET, 500, &["\r\n\r\nno"]),
    (
        "HTTP/1.1 401 No\r\nContent-Length: 0\r\nWWW-Authenticate: Basic\r\n\r\n",
        GET,
        401,
        &["WWW-Authenticate: Basic"],
    ),
];

/// Responses that break off: the client must notice.
const BROKEN: &[(&str, &str)] = &[
    ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", GET),
    ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", GET),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", GET),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", GET),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n", GET),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n", GET),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\nhalf\r\n0\r\n\r\n", GET),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX : y\r\n\r\n", GET),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", OLD),
    ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", OLD),
];

/// Responses that are malformed, or that two clients could read in two ways: 502 instead.
const NONSENSE: &[&str] = &[
    "",
    "nonsense\r\n\r\n",
    "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1\r\n\r\n",
    "HTTP/1.1 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\rY: b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX\0: a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Len",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
];

#[tokio::test]
async fn whole_answers_arrive_whole() {
    static ANSWERS: std::sync::LazyLock<Vec<&'static str>> =
        std::sync::LazyLock::new(|| WHOLE.iter().map(|case| case.0).collect());
    let witness = Witness::start(&ANSWERS).await;
    let lb = witness.balancer().await;
    for (number, (answer, request, status, lines)) in WHOLE.iter().enumerate() {
        let reply = exchange(lb.address, &request.replace("{}", &number.to_string())).await;
        assert_eq!(reply.status(), *status, "{answer:?}: {reply:?}");
        let whole = reply.is_whole() || request.starts_with("HEAD") || *status == 304;
        assert!(whole && !reply.was_reset, "{answer:?}: {reply:?}");
        assert_lines(&reply.text, lines, answer);
        if request.starts_with("HEAD") || matches!(status, 204 | 304) {
            assert_eq!(reply.body(), "", "{answer:?}");
        }
    }
}

#[tokio::test]
async fn answers_that_break_off_are_seen_as_broken() {
    static ANSWERS: std::sync::LazyLock<Vec<&'static str>> =
        std::sync::LazyLock::new(|| BROKEN.iter().map(|case| case.0).collect());
    let witness = Witness::start(&ANSWERS).await;
    let lb = witness.balancer().await;
    for (number, (answer, request)) in BROKEN.iter().enumerate() {
        let reply = exchange(lb.address, &request.replace("{}", &number.to_string())).await;
        assert!(!reply.is_whole(), "{answer:?}: {reply:?}");
    }
}

#[tokio::test]
async fn nonsense_becomes_a_502() {
    let witness = Witness::start(NONSENSE).await;
    let lb = witness.balancer().await;
    for (number, answer) in NONSENSE.iter().enumerate() {
        let reply = exchange(lb.address, &GET.replace("{}", &number.to_string())).await;
        assert_eq!(reply.status(), 502, "{answer:?}: {reply:?}");
        assert!(reply.is_whole() && reply.text.contains("x-lb-error: bad_answer"), "{reply:?}");
    }
}

/// An endless head is not buffered.
#[tokio::test]
async fn an_answer_with_too_large_a_head_becomes_a_502() {
    let address = raw_upstream(async |mut stream, _| {
        read_head(&mut stream).await;
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1 << 20)).as_bytes()).await;
    })
    .await;
    let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off"]).await;
    assert_eq!(exchange(lb.address, &GET.replace("{}", "")).await.status(), 502);
}
