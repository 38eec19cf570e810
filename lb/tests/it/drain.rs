//! Startup and shutdown.

use lb::server::StartError;
use machine::vitals::Vitals;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::support::*;

#[tokio::test]
async fn a_request_in_flight_is_finished_and_its_connection_closed() {
    let web = Web::start("web-1");
    let mut lb = Balancer::over(&[&web], &[]).await;
    let address = lb.address;
    let slow = tokio::spawn(async move { Client::open(address).await.get("/slow").await });
    until(async || web.served() == 1, "the request is in flight").await;
    lb.stopped().await;
    let answer = slow.await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("connection")), (200, "close"));
    assert!(TcpStream::connect(lb.address).await.is_err(), "the door is closed");
}

#[tokio::test]
async fn nobody_who_has_knocked_is_turned_away() {
    let web = Web::start("web-1");
    let mut lb = Balancer::over(&[&web], &[]).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(lb.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        clients.push(stream);
    }
    lb.stopped().await;
    for mut stream in clients {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_drain() {
    let web = Web::start("web-1");
    let mut lb = Balancer::over(&[&web], &["--drain-timeout=10m"]).await;
    let mut silent = TcpStream::connect(lb.address).await.unwrap();
    let mut idle = Client::open(lb.address).await;
    idle.get("/").await;
    lb.stopped().await;
    // A connection that had not been accepted yet is reset.
    let end = silent.read(&mut [0]).await.map_err(|error| error.kind());
    assert!(matches!(end, Ok(0) | Err(std::io::ErrorKind::ConnectionReset)), "{end:?}");
}

#[tokio::test]
async fn a_drain_has_an_end() {
    let web = Web::start("web-1");
    let mut lb = Balancer::over(&[&web], &["--drain-timeout=50ms"]).await;
    let address = lb.address;
    let hanging = tokio::spawn(async move { Client::open(address).await.try_get("/never").await });
    until(async || web.served() == 1, "the request is in flight").await;
    lb.stopped().await;
    assert!(hanging.await.unwrap().is_err(), "cut with the process's last thread");
}

#[tokio::test]
async fn on_the_way_out_clients_are_sent_elsewhere() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    lb.vitals.say_unfit();
    let answer = lb.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.header("connection")), (200, "close"));
}

#[tokio::test]
async fn a_busy_port_is_said_in_a_sentence() {
    let first = Balancer::start(&[]).await;
    for (flag, address) in [("--listen", first.address), ("--admin", first.admin)] {
        let flags = ["lb", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0"];
        let mut config = lb::Config::check(clap::Parser::parse_from(flags)).unwrap();
        match flag {
            "--listen" => config.listen = address,
            _ => config.admin.listen = address,
        }
        let error = lb::start(config, Vitals::new("lb"), CancellationToken::new()).await.unwrap_err();
        assert!(matches!(error, StartError::Listen(_)));
        let sentence =
            format!("{address} is already in use; stop what listens there or choose another {flag}");
        assert_eq!(error.to_string(), sentence);
    }
}
