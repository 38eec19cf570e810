//! Protocol switches (RFC 9110, 7.8): a tunnel only after 101, and never HTTP/2 over cleartext.

use super::*;

const WEBSOCKET: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Key: x\r\n\r\n";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                          Sec-WebSocket-Accept: y\r\n\r\nfirst";

/// An upstream that agrees, sends something at once, and then echoes until the end.
async fn echoes() -> SocketAddr {
    raw_upstream(async |mut stream, _| {
        let head = read_head(&mut stream).await.unwrap();
        assert!(head.contains("\r\nconnection: upgrade\r\nupgrade: websocket\r\n"), "{head}");
        assert!(head.contains("Sec-WebSocket-Key: x\r\n"), "{head}");
        stream.write_all(SWITCHED).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
        writer.write_all(b"last").await.unwrap();
    })
    .await
}

#[tokio::test]
async fn a_tunnel_passes_bytes_both_ways_until_both_sides_have_closed() {
    let lb = Balancer::start(&[&format!("--upstream=web-1={}", echoes().await), "--health=off"]).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    // Bytes right behind the request belong to the tunnel too.
    stream.write_all(format!("{WEBSOCKET}early,").as_bytes()).await.unwrap();
    let head = read_head(&mut stream).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    assert_lines(&head, &["connection: upgrade", "upgrade: websocket", "Sec-WebSocket-Accept: y"], &head);
    stream.write_all(b"later,").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    tokio::time::timeout(LIMIT, stream.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, "firstearly,later,last");
    until(async || lb.vitals.render().contains(r#"in_flight{upstream="web-1"} 0"#), "it is over").await;
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_moves_is_closed() {
    let upstream = format!("--upstream=web-1={}", echoes().await);
    let lb = Balancer::start(&[&upstream, "--health=off", "--idle-timeout=100ms"]).await;
    let mut stream = TcpStream::connect(lb.address).await.unwrap();
    stream.write_all(WEBSOCKET.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let _ = tokio::time::timeout(LIMIT, stream.read_to_end(&mut all)).await.unwrap();
    assert!(all.ends_with(b"first"));
}

/// Bytes that the client means for the tunnel are still HTTP, until the upstream agrees.
#[tokio::test]
async fn bytes_behind_an_upgrade_that_is_not_accepted_are_a_request() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    let reply = exchange(lb.address, &format!("{WEBSOCKET}GET /second HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    assert_eq!(reply.text.matches("HTTP/1.1 200 OK").count(), 2, "{reply:?}");
    let reply = exchange(lb.address, &format!("{WEBSOCKET}raw bytes\r\n\r\n")).await;
    assert!(reply.text.contains("HTTP/1.1 400 "), "{reply:?}");
    assert!(witness.take().iter().all(|message| !message.contains("raw bytes")));
}

#[tokio::test]
async fn http2_in_clear_text_is_never_asked_for() {
    let witness = Witness::start(&[]).await;
    let lb = witness.balancer().await;
    for protocols in ["h2c", "H2C", "h2", "HTTP/2.0", "TLS/1.3, h2c"] {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocols}\r\n\
             HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        );
        let reply = exchange(lb.address, &request).await;
        assert_eq!((reply.status(), reply.body()), (200, "ok"), "{reply:?}");
        assert_lines(&witness.take()[0], &["!upgrade", "!h2", "!http2-settings", "!connection:"], &request);
    }
    let both = WEBSOCKET.replace("Upgrade: websocket", "Upgrade: h2c, websocket");
    exchange(lb.address, &both).await;
    assert_lines(&witness.take()[0], &["upgrade: websocket", "!h2c"], &both);
}

#[tokio::test]
async fn an_upstream_cannot_switch_to_what_nobody_asked_for() {
    let address = raw_upstream(async |mut stream, _| {
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n").await;
    })
    .await;
    let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--health=off"]).await;
    assert_eq!(exchange(lb.address, WEBSOCKET).await.status(), 502);
    assert_eq!(exchange(lb.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.status(), 502);
}
