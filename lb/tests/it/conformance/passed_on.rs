//! Requests that are forwarded, and what the upstream sees of them.

use super::*;

/// A request, and lines that the upstream must see or (`!`) must not.
const HEADS: &[(&str, &[&str])] = &[
    // Targets (RFC 9112, 3.2).
    ("GET /a?b=c HTTP/1.1\r\nHost: shop\r\n\r\n", &["GET /a?b=c HTTP/1.1\r\n", "\r\nhost: shop\r\n"]),
    ("GET /a//b/../c HTTP/1.1\r\nHost: shop\r\n\r\n", &["GET /a//b/../c HTTP/1.1\r\n"]),
    ("GET /%41%2f?%zz|{}[] HTTP/1.1\r\nHost: shop\r\n\r\n", &["GET /%41%2f?%zz|{}[] HTTP/1.1\r\n"]),
    (
        "GET http://shop/a HTTP/1.1\r\nHost: other\r\n\r\n",
        &["GET /a HTTP/1.1\r\n", "\r\nhost: shop\r\n", "!other"],
    ),
    ("GET HTTP://SHOP:80 HTTP/1.1\r\nHost: shop\r\n\r\n", &["GET / HTTP/1.1\r\n", "\r\nhost: SHOP:80\r\n"]),
    ("GET http://shop?a HTTP/1.1\r\nHost: shop\r\n\r\n", &["GET /?a HTTP/1.1\r\n"]),
    ("GET http://shop/ HTTP/1.0\r\n\r\n", &["GET / HTTP/1.1\r\n", "\r\nhost: shop\r\n"]),
    ("OPTIONS * HTTP/1.1\r\nHost: shop\r\n\r\n", &["OPTIONS * HTTP/1.1\r\n"]),
    ("OPTIONS http://shop HTTP/1.1\r\nHost: shop\r\n\r\n", &["OPTIONS * HTTP/1.1\r\n", "\r\nhost: shop\r\n"]),
    ("OPTIONS /a HTTP/1.1\r\nHost: shop\r\n\r\n", &["OPTIONS /a HTTP/1.1\r\n"]),
    ("BREW /a HTTP/1.1\r\nHost: shop\r\n\r\n", &["BREW /a HTTP/1.1\r\n"]),
    ("get /a HTTP/1.1\r\nHost: shop\r\n\r\n", &["get /a HTTP/1.1\r\n"]),
    ("\r\n\r\nGET /a HTTP/1.1\r\nHost: shop\r\n\r\n", &["GET /a HTTP/1.1\r\n"]),
    // Hosts.
    ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", &["\r\nhost: [::1]:80\r\n"]),
    ("GET / HTTP/1.1\r\nHost:shop:\r\n\r\n", &["\r\nhost: shop:\r\n"]),
    ("GET / HTTP/1.1\r\nhOST: \t shop \t\r\n\r\n", &["\r\nhost: shop\r\n"]),
    ("GET / HTTP/1.0\r\n\r\n", &["GET / HTTP/1.1\r\n", "\r\nhost: 127.0.0.1:"]),
    // Hop-by-hop fields (RFC 9110, 7.6.1).
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\n\r\n",
        &["!x-hop", "!connection:", "X-End: 2\r\n"],
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-hop\r\nConnection: X-TWO\r\nX-Hop: 1\r\nX-Two: 1\r\n\r\n",
        &["!x-hop", "!x-two"],
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\r\n",
        &["!keep-alive", "!proxy-connection"],
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n", &["!\r\nte:", "!connection:"]),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nProxy-Authorization: x\r\nAuthorization: y\r\n\r\n",
        &["!proxy-auth", "Authorization: y\r\n"],
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", &["!upgrade"]),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Host, Cookie, X-Forwarded-For\r\nCookie: c=d\r\n\r\n",
        &["\r\nhost: a\r\n", "Cookie: c=d\r\n", "x-forwarded-for: 127.0.0.1\r\n"],
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length\r\nContent-Length: 2\r\n\r\nhi",
        &["content-length: 2\r\n", "\r\n\r\nhi"],
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        &["transfer-encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\n"],
    ),
    // Fields that are added.
    (
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &[
            "\r\nvia: 1.1 lb\r\n",
            "x-forwarded-for: 127.0.0.1\r\n",
            "x-forwarded-proto: http\r\n",
            "x-request-id: ",
        ],
    ),
    ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", &["\r\nvia: 1.0 lb\r\n"]),
    ("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 before\r\n\r\n", &["Via: 1.0 before\r\n", "\r\nvia: 1.1 lb\r\n"]),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n\r\n",
        &["x-forwarded-for: 9.9.9.9, 127.0.0.1\r\n", "x-forwarded-proto: http\r\n", "!https"],
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\n\r\n", &["x-request-id: mine\r\n"]),
    ("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: not one\r\n\r\n", &["!not one", "x-request-id: "]),
    // Fields that pass unchanged.
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX: \tb  c\t \r\nY:\r\nZ:z\r\n\r\n",
        &["X: b  c\r\n", "\r\nY: \r\n", "Z: z\r\n"],
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\n\r\n", &["X: 1\r\nX: 2\r\n"]),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nIf-None-Match: \"x\"\r\nCache-Control: no-store\r\n\r\n",
        &["Range: bytes=0-1\r\n", "If-None-Match: \"x\"\r\n", "Cache-Control: no-store\r\n"],
    ),
    // Max-Forwards (RFC 9110, 7.6.2).
    (
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n",
        &["max-forwards: 2\r\n", "!max-forwards: 3"],
    ),
    ("GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", &["max-forwards: 0\r\n"]),
    // Bodies (RFC 9112, 6 and 7).
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        &["content-length: 5\r\n", "\r\n\r\nhello"],
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\nhello",
        &["content-length: 5\r\n", "\r\n\r\nhello"],
    ),
    ("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", &["content-length: 5\r\n", "\r\n\r\nhello"]),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", &["content-length: 0\r\n"]),
    ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", &["content-length: 0\r\n"]),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        &["content-length: 5\r\n", "\r\n\r\nhello"],
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\n\r\n",
        &["transfer-encoding: chunked\r\n", "\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "!a=", "!content-length"],
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\n000\r\n\r\n",
        &["\r\n\r\na\r\n0123456789\r\n0\r\n\r\n"],
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nHost: b\r\n\r\n",
        &["0\r\nX-Sum: 1\r\n\r\n", "!content-length", "!host: b"],
    ),
    ("DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &["\r\n\r\n0\r\n\r\n"]),
    // Expectations that must be ignored (RFC 9110, 10.1.1).
    ("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", &["!expect", "\r\n\r\nhi"]),
    ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", &["!expect"]),
];

#[tokio::test]
async fn heads_arrive_as_they_should() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    for (request, lines) in HEADS {
        let reply = exchange(lb.address, request).await;
        assert_eq!((reply.status(), reply.body()), (200, "ok"), "{request:?}: {reply:?}");
        let seen = witness.take();
        assert_eq!(seen.len(), 1, "{request:?}: {seen:?}");
        assert_lines(&seen[0], lines, request);
        assert_eq!(seen[0].to_ascii_lowercase().matches("\r\nhost:").count(), 1, "{seen:?}");
    }
}

#[tokio::test]
async fn one_that_may_go_no_further_is_answered_here() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    for target in ["*", "/"] {
        let request = format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
        let reply = exchange(lb.address, &request).await;
        assert_eq!(reply.status(), 200);
        assert_lines(&reply.text, &["allow: GET", "content-length: 0"], &request);
    }
    assert_eq!(witness.take(), [""; 0]);
}

/// However a request is split into packets, the upstream sees the same.
#[tokio::test]
async fn it_does_not_matter_how_a_request_is_cut() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    let request = "POST /a HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n";
    for size in [1, 2, 3, 7, 50] {
        let mut stream = TcpStream::connect(lb.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in request.as_bytes().chunks(size) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        let seen = witness.take().remove(0);
        let (head, body) = seen.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /a HTTP/1.1\r\n"), "{head}");
        let data: String =
            body.split("\r\n").skip(1).step_by(2).take_while(|data| !data.is_empty()).collect();
        assert!(data.replace("X: y", "") == "hello world" && body.ends_with("0\r\nX: y\r\n\r\n"), "{body:?}");
    }
}
