//! Connections: which stay open, what follows on them, and how they end (RFC 9112, 9).

use super::*;

#[tokio::test]
async fn a_connection_is_kept_as_the_version_and_the_client_say() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    let second = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n";
    for (first, answers, said) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 2, "!connection:"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", 2, "!connection:"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 1, "connection: close"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", 1, "connection: close"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", 1, "connection: close"),
        ("GET / HTTP/1.0\r\n\r\n", 1, "connection: close"),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 2, "connection: keep-alive"),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", 1, "connection: close"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 2, "!connection:"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            2,
            "!connection:",
        ),
        (
            "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
            2,
            "connection: keep-alive",
        ),
    ] {
        let reply = exchange(lb.address, &format!("{first}{second}")).await;
        assert_eq!(reply.text.matches("HTTP/1.1 200 OK").count(), answers, "{first:?}: {reply:?}");
        let first_head = reply.text.split("\r\n\r\n").next().unwrap();
        assert_lines(first_head, &[said], first);
    }
}

#[tokio::test]
async fn a_pipeline_is_answered_in_its_order() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    let pipeline: String = (100..150)
        .map(|number| format!("GET /n{number} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {number}\r\n\r\n"))
        .collect();
    let reply = exchange(lb.address, &pipeline).await;
    let order: Vec<u32> = reply
        .text
        .split("\r\n")
        .filter_map(|line| line.strip_prefix("x-request-id: ")?.parse().ok())
        .collect();
    assert_eq!(order, (100..150).collect::<Vec<u32>>());
}

/// A body may be split anywhere, and what follows it is the next request.
#[tokio::test]
async fn what_follows_a_body_is_the_next_request() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    for framing in [
        format!("Content-Length: {}\r\n\r\n{hidden}", hidden.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()),
    ] {
        let pipeline =
            format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        let reply = exchange(lb.address, &pipeline).await;
        assert_eq!(reply.text.matches("HTTP/1.1 200 OK").count(), 2, "{reply:?}");
        let seen = witness.take();
        assert!(seen[0].contains(hidden) && seen[1].starts_with("GET /next "), "{seen:?}");
    }
}

/// An upstream that answers as its request's target says and keeps its connections open; responses
/// carry the connection's number.
async fn numbered_upstream() -> SocketAddr {
    raw_upstream(async |mut stream, number| {
        while let Some(head) = read_head(&mut stream).await {
            let answer = match head.split(' ').nth(1).unwrap() {
                "/204" => "204 No Content\r\n",
                "/204-length" => "204 No Content\r\nContent-Length: 1000\r\n",
                "/304" => "304 Not Modified\r\n",
                "/304-length" => "304 Not Modified\r\nContent-Length: 1000\r\nETag: \"a\"\r\n",
                "/304-chunked" => "304 Not Modified\r\nTransfer-Encoding: chunked\r\n",
                "/length" => "200 OK\r\nContent-Length: 1000\r\n",
                "/chunked" => "200 OK\r\nTransfer-Encoding: chunked\r\n",
                "/unsaid" => "200 OK\r\n",
                _ => "200 OK\r\nContent-Length: 0\r\n",
            };
            let answer = format!("HTTP/1.1 {answer}X-Connection: {number}\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

/// Sends a request on a persistent connection, and returns the head of the response, which has no
/// body.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
    let head = tokio::time::timeout(LIMIT, read_head(stream)).await.expect("an answer in time");
    head.unwrap_or_else(|| panic!("{request}: the client's connection was closed"))
}

/// After a response without a body, whatever its head announces, both connections are kept.
#[tokio::test]
async fn connections_are_kept_after_answers_without_a_body() {
    let upstream = format!("--upstream=web-1={}", numbered_upstream().await);
    let lb = Balancer::start(&[&upstream, "--health=off", "--upstream-idle-timeout=60s"]).await;
    let mut client = TcpStream::connect(lb.address).await.unwrap();
    for round in 0..3 {
        for request in [
            "GET /204",
            "GET /204-length",
            "GET /304",
            "GET /304-length",
            "GET /304-chunked",
            "HEAD /length",
            "HEAD /chunked",
            "HEAD /unsaid",
            "HEAD /304-length",
            "GET /empty",
        ] {
            let head = ask(&mut client, request).await;
            assert_lines(
                &head,
                &["x-connection: 0\r\n", "!connection: close"],
                &format!("{request}, {round}"),
            );
        }
    }
}

/// Bytes that an upstream must not send, in the form of a response.
const EVIL: &[u8] = b"HTTP/1.1 200 OK\r\nX-Evil: yes\r\nContent-Length: 0\r\n\r\n";

/// An upstream that sends a body to HEAD harms no client, and from then on its connections are not
/// kept after such a response.
#[tokio::test]
async fn an_upstream_that_sends_a_body_to_head_is_not_trusted_again() {
    let (sent, mut was_sent) = tokio::sync::mpsc::unbounded_channel();
    let address = raw_upstream(move |mut stream, number| {
        let sent = sent.clone();
        async move {
            while let Some(head) = read_head(&mut stream).await {
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nX-Connection: {number}\r\nContent-Length: {}\r\n\r\n",
                    EVIL.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                if head.starts_with("HEAD /with-body ") {
                    stream.write_all(EVIL).await.unwrap();
                    sent.send(()).unwrap();
                }
            }
        }
    })
    .await;
    let upstream = format!("--upstream=web-1={address}");
    let lb = Balancer::start(&[&upstream, "--health=off", "--threads=1"]).await;
    let mut client = TcpStream::connect(lb.address).await.unwrap();
    let head = ask(&mut client, "HEAD /with-body").await;
    assert_lines(&head, &["x-connection: 0\r\n"], "the first");
    tokio::time::timeout(LIMIT, was_sent.recv()).await.unwrap();
    for number in 1..4 {
        let head = ask(&mut client, "HEAD /without-body").await;
        assert_lines(&head, &[&format!("x-connection: {number}\r\n"), "!evil"], "one after it");
    }
}

/// Bytes that an upstream sends while it is idle are no response to the next request.
#[tokio::test]
async fn what_comes_unasked_is_never_an_answer() {
    let speak = Arc::new(tokio::sync::Notify::new());
    let (said, mut was_said) = tokio::sync::mpsc::unbounded_channel();
    let told = Arc::clone(&speak);
    let address = raw_upstream(move |mut stream, _| {
        let (told, said) = (Arc::clone(&told), said.clone());
        async move {
            while read_head(&mut stream).await.is_some() {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nX-Good: yes\r\nContent-Length: 0\r\n\r\n")
                    .await
                    .unwrap();
                told.notified().await;
                stream.write_all(EVIL).await.unwrap();
                said.send(()).unwrap();
            }
        }
    })
    .await;
    let upstream = format!("--upstream=web-1={address}");
    let lb = Balancer::start(&[&upstream, "--health=off", "--threads=1"]).await;
    let mut client = TcpStream::connect(lb.address).await.unwrap();
    for number in 0..20 {
        let head = ask(&mut client, "GET /").await;
        assert_lines(&head, &["x-good: yes"], &format!("answer {number}"));
        // It has its response, and the connection is idle.
        speak.notify_one();
        tokio::time::timeout(LIMIT, was_said.recv()).await.unwrap();
    }
}

/// Bytes after a complete response are discarded, and the connection is not reused.
#[tokio::test]
async fn surplus_bytes_are_never_an_answer_whatever_the_answer_is() {
    for (first, request) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("HTTP/1.1 204 OK\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("HTTP/1.1 304 OK\r\nContent-Length: 9\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
    ] {
        let surplus = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        let address = raw_upstream(move |mut stream, number| {
            let answer =
                format!("{}{surplus}", first.replacen("\r\n", &format!("\r\nX-Connection: {number}\r\n"), 1));
            async move {
                while read_head(&mut stream).await.is_some() {
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await;
        let lb =
            Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off", "--threads=1"]).await;
        for number in 0..20 {
            let reply = exchange(lb.address, request).await;
            // More surplus bytes may still be on their way, so the connection cannot be reused.
            assert_lines(&reply.text, &[&format!("x-connection: {number}\r\n"), "!evil"], first);
        }
    }
}

/// The upstream responds early to a large upload: the response arrives, and the balancer does not
/// wait for the upload.
#[tokio::test]
async fn an_early_answer_to_a_large_upload_arrives() {
    let address = raw_upstream(async |mut stream, _| {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 413 Too large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        // It stops reading, but keeps the connection: a reset would destroy its response.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), stream.read_u8()).await;
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), std::future::pending::<()>()).await;
    })
    .await;
    let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off"]).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let upload = async {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n";
        let _ = writer.write_all(head).await;
        let piece = vec![b'x'; 100_000];
        while writer.write_all(&piece).await.is_ok() {}
    };
    let answer = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\nno") {
            head.push(reader.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    };
    let both = async {
        tokio::select! {
            answer = answer => answer,
            () = async { upload.await; std::future::pending().await } => unreachable!(),
        }
    };
    let answer = tokio::time::timeout(LIMIT, both).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 Too large\r\n"), "{answer}");
}

/// An upstream connection on which a request was not sent completely cannot be reused: the next
/// request would be taken for the missing part.
#[tokio::test]
async fn after_an_answer_that_came_before_its_request_was_sent_the_connection_is_not_used_again() {
    let upstream = format!("--upstream=web-1={}", numbered_upstream().await);
    let lb = Balancer::start(&[&upstream, "--health=off", "--threads=1"]).await;
    for (number, framing) in
        ["Content-Length: 1000\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"]
            .into_iter()
            .enumerate()
    {
        let mut early = TcpStream::connect(lb.address).await.unwrap();
        early.write_all(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}").as_bytes()).await.unwrap();
        let head = tokio::time::timeout(LIMIT, read_head(&mut early)).await.unwrap().unwrap();
        assert_lines(&head, &[&format!("x-connection: {number}\r\n")], framing);
        let mut next = TcpStream::connect(lb.address).await.unwrap();
        let head = tokio::time::timeout(LIMIT, ask(&mut next, "GET /304")).await.unwrap();
        assert_lines(&head, &["HTTP/1.1 304", &format!("x-connection: {}\r\n", number + 1)], framing);
        // No other request is sent on that connection either.
        drop(next);
        let mut last = TcpStream::connect(lb.address).await.unwrap();
        last.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let head = tokio::time::timeout(LIMIT, read_head(&mut last)).await.unwrap().unwrap();
        assert_lines(&head, &[&format!("x-connection: {}\r\n", number + 1)], framing);
    }
}

/// After a local reply, the unread body is not parsed as a request.
#[tokio::test]
async fn a_body_that_nobody_read_is_no_request() {
    let lb = Balancer::start(&[]).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let request =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len());
    let reply = exchange(lb.address, &request).await;
    assert_eq!((reply.status(), reply.text.matches("HTTP/1.1").count()), (503, 1), "{reply:?}");
    assert_lines(&reply.text, &["connection: close"], &request);
    let reply =
        exchange(lb.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(reply.text.matches("HTTP/1.1 503").count(), 2, "without a body it goes on: {reply:?}");
    let reply = exchange(lb.address, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((reply.status(), reply.body()), (503, ""), "an answer to HEAD has no body");
}

/// A request of a higher minor version is handled like HTTP/1.1 (RFC 9110, 2.5).
#[tokio::test]
async fn a_newer_minor_version_is_understood() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    let reply =
        exchange(lb.address, "\r\nGET /a HTTP/1.2\r\nHost: a\r\n\r\nGET /b HTTP/1.9\r\nHost: a\r\n\r\n")
            .await;
    assert_eq!(reply.text.matches("HTTP/1.1 200 OK").count(), 2, "{reply:?}");
    assert!(witness.take().iter().all(|request| request.contains(" HTTP/1.1\r\n")));
}

/// A response to HEAD never has a body, even if it rejects a malformed head.
#[tokio::test]
async fn what_refuses_a_malformed_head_request_has_no_body() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    let reply = exchange(lb.address, "HEAD / HTTP/1.1\r\nHost : a\r\n\r\n").await;
    assert!(reply.text.starts_with("HTTP/1.1 400 ") && reply.text.ends_with("\r\n\r\n"), "{reply:?}");
}
