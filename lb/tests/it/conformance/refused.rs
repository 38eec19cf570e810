//! Requests that are malformed, or that two servers could read in two ways: they are rejected, the
//! connection is closed, and no upstream sees a byte of them.

use super::*;

/// Requests, with the status that rejects each.
const HEADS: &[(&str, u16)] = &[
    // The request line (RFC 9112, 3).
    ("GET /\r\n\r\n", 400),
    ("GET\r\n\r\n", 400),
    ("GET / \r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", 400),
    ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / Http/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/01.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/-1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTPS/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / XTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("G\u{e4}T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET\0 / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("\"GET\" / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET: / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    // The target (RFC 9112, 3.2).
    ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET ?q HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET file:///etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    // Methods that open tunnels or mirror (RFC 9110, 9.3.6 and 9.3.8).
    ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
    ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", 501),
    // Line ends (RFC 9112, 2.2).
    ("GET / HTTP/1.1\nHost: a\n\n", 400),
    ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
    ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\rHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\r\n\r\n", 400),
    // Lines of a head (RFC 9112, 5).
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tfolded\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX:\r\n \r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\n:\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\u{e4}: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\u{1}c\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\u{b}c\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: b\u{7f}c\r\n\r\n", 400),
    // The host (RFC 9112, 3.2).
    ("GET / HTTP/1.1\r\n\r\n", 400),
    ("GET http://a/ HTTP/1.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", 400),
    ("GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n", 400),
    // Lengths (RFC 9112, 6.2 and 6.3).
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5x\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5.0\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5_0\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \"5\"\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent_Length: 6\r\n\r\nhello", 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
    // Both framings, and codings other than one `chunked` (RFC 9112, 6.1).
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 501),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", 501),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 501),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", 501),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    // Expectations (RFC 9110, 10.1.1).
    ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 5\r\n\r\nhello", 417),
    ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\nContent-Length: 5\r\n\r\nhello", 417),
];

#[tokio::test]
async fn heads_that_are_refused_never_arrive() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    for (request, status) in HEADS {
        let reply = exchange(lb.address, request).await;
        assert_eq!(reply.status(), *status, "{request:?}: {reply:?}");
        assert_lines(&reply.text, &["connection: close", "x-lb-error:", "date:"], request);
        assert_eq!(
            reply.text.matches("x-lb-error:").count(),
            1,
            "the rest is not read: {request:?} {reply:?}"
        );
        assert_eq!(witness.take(), [""; 0], "{request:?}");
    }
}

/// A request that follows a good one on the same connection is checked just as strictly.
#[tokio::test]
async fn heads_that_are_refused_never_arrive_behind_a_good_one() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    for (request, status) in HEADS.iter().filter(|(request, _)| !request.starts_with(['\r', '\n'])) {
        let pipelined = format!("GET /good HTTP/1.1\r\nHost: a\r\n\r\n{request}");
        let reply = exchange(lb.address, &pipelined).await;
        assert!(reply.text.contains(&format!("okHTTP/1.1 {status} ")), "{request:?}: {reply:?}");
        let seen = witness.take();
        assert!(seen.len() == 1 && seen[0].starts_with("GET /good "), "{request:?}: {seen:?}");
    }
}

/// Malformed chunked bodies (RFC 9112, 7.1): the response is 400, and the upstream never sees the
/// end of a body.
const CHUNKS: &[&str] = &[
    "x\r\nhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello\r0\r\n\r\n",
    "5\r\nhelloworld\r\n0\r\n\r\n",
    "5\r\nhell\r\n0\r\n\r\n",
    "5;a\nb\r\nhello\r\n0\r\n\r\n",
    "5;a\rb\r\nhello\r\n0\r\n\r\n",
    "5;a\0b\r\nhello\r\n0\r\n\r\n",
    "5,5\r\nhello\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\n\r\n",
    "5\r\nhello\r\n0\r\n\n",
    "5\r\nhello\r\n0\r\nX: a\nY: b\r\n\r\n",
    "5\r\nhello\r\n0\r\nX: \0\r\n\r\n",
    "5\r\nhello\r\n0\r\nX : a\r\n\r\n",
    "5\r\nhello\r\n0\r\nno colon\r\n\r\n",
    "5\r\nhello\r\n0\r\nX: a\r\n folded\r\n\r\n",
    // Bodies that break off.
    "5\r\nhel",
    "5\r\nhello\r\n",
    "5\r\nhello\r\n0\r\n",
];

#[tokio::test]
async fn chunks_that_are_none_never_end_a_body() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    for body in CHUNKS {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let reply = exchange(lb.address, &request).await;
        assert_eq!(reply.status(), 400, "{body:?}: {reply:?}");
        assert_lines(&reply.text, &["connection: close"], body);
    }
    let large = "x".repeat(1 << 20);
    for body in [format!("5;{large}\r\nhello\r\n0\r\n\r\n"), format!("5\r\nhello\r\n0\r\nX: {large}\r\n\r\n")]
    {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(exchange(lb.address, &request).await.status(), 400, "extensions and trailers have an end");
    }
    until(async || lb.vitals.render().contains(r#"in_flight{upstream="web-1"} 0"#), "all are over").await;
    for message in witness.take() {
        assert!(!is_whole(message.as_bytes()), "{message:?}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_never_looks_whole() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    let reply = exchange(lb.address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert_eq!(reply.status(), 400, "{reply:?}");
    until(async || !witness.seen.lock().unwrap().is_empty(), "the upstream sees that it broke off").await;
    assert!(!is_whole(witness.take()[0].as_bytes()));
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused_by_what_is_large() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    let get = |target: &str, lines: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    for (request, status) in [
        (get(&format!("/{}", "x".repeat(8 * 1024)), ""), 200),
        (get(&format!("/{}", "x".repeat(100 * 1024)), ""), 414),
        (get("/", &format!("X: {}\r\n", "x".repeat(60 * 1024))), 200),
        (get("/", &format!("X: {}\r\n", "x".repeat(70 * 1024))), 431),
        (get("/", &format!("X: {}\r\n", "x".repeat(1 << 20))), 431),
        (get("/", &"X: y\r\n".repeat(99)), 200),
        (get("/", &"X: y\r\n".repeat(100)), 431),
        (get("/", &"X: y\r\n".repeat(5_000)), 431),
        (format!("GET /{}", "x".repeat(1 << 20)), 414),
        (get("/", &format!("{}: y\r\n", "x".repeat(1 << 20))), 431),
    ] {
        let reply = raw_reply(lb.address, &request).await;
        assert_eq!(reply.status(), status, "{} bytes", request.len());
    }
}

/// Like [`exchange`], except that the other side may stop reading early.
async fn raw_reply(address: SocketAddr, request: &str) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let writing = async {
        let _ = writer.write_all(request.as_bytes()).await;
        let _ = writer.shutdown().await;
    };
    let reading = async {
        let mut bytes = Vec::new();
        let was_reset = reader.read_to_end(&mut bytes).await.is_err();
        Reply { text: String::from_utf8_lossy(&bytes).into_owned(), was_reset }
    };
    tokio::time::timeout(LIMIT, async { tokio::join!(writing, reading).1 }).await.unwrap()
}
