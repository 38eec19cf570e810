use std::net::SocketAddr;

use machine::Machine;
use machine::network::Network;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use webserver::Server;

use crate::database::Database;
use crate::shop::config;
use crate::wait::{LIMIT, until};

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

async fn serve(database: &Database, flags: &[&str]) -> Running {
    let config = config(database.address, flags);
    let server = Server::bind(config, Machine::unlimited(), Network::tcp()).await.unwrap();
    let (address, stop) = (server.address(), CancellationToken::new());
    let serving = tokio::spawn(server.serve(stop.clone()));
    Running { address, stop, serving }
}

/// Returns everything up to the end of the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends it, too.
    let _ = timeout(LIMIT, stream.read_to_end(&mut bytes)).await.expect("the connection ends");
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    rest(&mut stream).await
}

#[tokio::test]
async fn a_request_over_a_socket_is_answered() {
    let database = Database::start().await;
    let shop = serve(&database, &[]).await;
    let answer =
        exchange(shop.address, b"GET /render HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn clients_that_are_slow_with_their_headers_are_cut_and_others_are_served() {
    let database = Database::start().await;
    let shop = serve(&database, &[]).await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(shop.address).await.unwrap();
        stream.write_all(b"GET /render HT").await.unwrap();
        slow.push(stream);
    }
    let answer =
        exchange(shop.address, b"GET /render HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    // All of them within the time limit of one.
    timeout(LIMIT, async {
        for mut stream in slow {
            assert!(!rest(&mut stream).await.contains("200 OK"));
        }
    })
    .await
    .expect("they are cut");
}

#[tokio::test]
async fn a_client_that_sends_its_headers_byte_by_byte_is_cut() {
    let database = Database::start().await;
    let shop = serve(&database, &["--header-timeout", "300ms"]).await;
    let mut stream = TcpStream::connect(shop.address).await.unwrap();
    stream.write_all(b"GET /render HTTP/1.1\r\nx: ").await.unwrap();
    until("it is cut", async || stream.write_all(b"y").await.is_err()).await;
}

#[tokio::test]
async fn a_drain_lets_the_request_in_flight_finish() {
    let database = Database::start().await;
    database.hold_reads(true);
    let shop = serve(&database, &["--db-timeout", "60s"]).await;
    let asking = tokio::spawn(exchange(shop.address, b"GET /products/1 HTTP/1.1\r\nhost: x\r\n\r\n"));
    until("the request is in flight", async || database.reads() == 1).await;
    shop.stop.cancel();
    until("the door is closed", async || TcpStream::connect(shop.address).await.is_err()).await;
    assert!(!shop.serving.is_finished());
    database.hold_reads(false);
    assert!(asking.await.unwrap().contains("unknown_product"));
    timeout(LIMIT, shop.serving).await.expect("the drain ends").unwrap();
}

#[tokio::test]
async fn a_drain_has_an_end() {
    let database = Database::start().await;
    database.hold_reads(true);
    let shop = serve(&database, &["--db-timeout", "60s", "--drain-timeout", "50ms"]).await;
    let _asking = tokio::spawn(exchange(shop.address, b"GET /products/1 HTTP/1.1\r\nhost: x\r\n\r\n"));
    until("the request is in flight", async || database.reads() == 1).await;
    shop.stop.cancel();
    timeout(LIMIT, shop.serving).await.expect("the drain ends").unwrap();
}

#[tokio::test]
async fn a_busy_port_is_named_with_what_to_do() {
    let database = Database::start().await;
    let mut config = config(database.address, &[]);
    config.listen = database.address;
    let Err(error) = Server::bind(config, Machine::unlimited(), Network::tcp()).await else {
        panic!("two listen on one port")
    };
    let told = error.to_string();
    assert!(told.contains(&database.address.to_string()) && told.contains("--listen"), "{told}");
}

#[tokio::test]
async fn two_host_lines_or_none_are_refused() {
    let database = Database::start().await;
    let shop = serve(&database, &[]).await;
    for hosts in ["host: x\r\nhost: x\r\n", "host: x\r\nhost: y\r\n", ""] {
        let request = format!("GET /render HTTP/1.1\r\n{hosts}\r\n");
        let answer = exchange(shop.address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("bad_host"), "{answer}");
    }
}

#[tokio::test]
async fn clients_without_a_request_leave_for_those_who_have_one() {
    let database = Database::start().await;
    let shop = serve(&database, &["--max-connections", "4", "--header-timeout", "1m"]).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(shop.address).await.unwrap());
    }
    let request = b"GET /render HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = exchange(shop.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn bytes_that_are_not_http_end_the_connection_and_nothing_else() {
    let database = Database::start().await;
    let shop = serve(&database, &["--header-timeout", "300ms"]).await;
    let huge_header = format!("GET /render HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    let huge_path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(70_000));
    for bytes in [
        &b"\x00\x01\x02\xff\r\n\r\n"[..],
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET /render HTTP/9.9\r\n\r\n",
        b"PUT /products/1 HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"PUT /products/1 HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        huge_header.as_bytes(),
        huge_path.as_bytes(),
    ] {
        let mut stream = TcpStream::connect(shop.address).await.unwrap();
        // The server may close while the client is still sending.
        let _ = stream.write_all(bytes).await;
        let answer = rest(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer:.100}");
    }
    let answer =
        exchange(shop.address, b"GET /render HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}
