//! Each outcome, provoked by a socket that behaves that way.

use std::collections::BTreeMap;

use super::*;

const SPAN: Duration = Duration::from_millis(300);
const NO_TIME: Duration = Duration::ZERO;

/// The only outcome, with the only status, of requests to this server.
async fn outcome(target: SocketAddr) -> (Outcome, u16) {
    let patience = Duration::from_millis(500);
    let stream = Stream { timeout: patience * 2, connect_timeout: patience, ..stream(target) };
    let window = run(stream, 20.0, SPAN).await;
    let first = window.samples().first().expect("20 a second are some in 300 ms");
    assert_eq!(window.outcomes(), BTreeMap::from([(first.outcome, window.requests())]));
    (first.outcome, first.status)
}

#[tokio::test]
async fn a_good_answer_is_ok() {
    let server = serve(|_| async { Response::new(Full::from("hello")) }).await;
    assert_eq!(outcome(server).await, (Outcome::Ok, 200));
}

#[tokio::test]
async fn an_answer_marked_stale_is_stale() {
    let server = say("HTTP/1.1 200 OK\r\nX-Cache: STALE\r\nContent-Length: 0\r\n\r\n", NO_TIME).await;
    assert_eq!(outcome(server).await, (Outcome::Stale, 200));
}

#[tokio::test]
async fn a_404_is_the_clients_error() {
    let server = say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", NO_TIME).await;
    assert_eq!(outcome(server).await, (Outcome::ClientError, 404));
}

#[tokio::test]
async fn a_500_is_the_servers_error() {
    let server = say("HTTP/1.1 500 Oh No\r\nContent-Length: 0\r\n\r\n", NO_TIME).await;
    assert_eq!(outcome(server).await, (Outcome::ServerError, 500));
}

#[tokio::test]
async fn a_503_that_says_when_to_come_back_is_shed() {
    let server = say("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", NO_TIME).await;
    assert_eq!(outcome(server).await, (Outcome::Shed, 503));
}

#[tokio::test]
async fn a_port_nobody_listens_on_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(outcome(address).await, (Outcome::Refused, 0));
}

#[tokio::test]
async fn a_server_that_hangs_up_before_its_answer_resets() {
    assert_eq!(outcome(say("", NO_TIME).await).await, (Outcome::Reset, 0));
}

#[tokio::test]
async fn a_server_that_hangs_up_within_its_answer_resets() {
    let server = say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", NO_TIME).await;
    assert_eq!(outcome(server).await, (Outcome::Reset, 0));
}

#[tokio::test]
async fn a_chunked_answer_that_never_ends_properly_resets() {
    let server = say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", NO_TIME).await;
    assert_eq!(outcome(server).await, (Outcome::Reset, 0));
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_malformed() {
    assert_eq!(outcome(say("SSH-2.0-OpenSSH_9.2\r\n", NO_TIME).await).await, (Outcome::Malformed, 0));
    let server = say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nworm\r\n", NO_TIME).await;
    assert_eq!(outcome(server).await, (Outcome::Malformed, 0));
}

#[tokio::test]
async fn a_server_that_says_nothing_times_out() {
    assert_eq!(outcome(say("", LIMIT).await).await, (Outcome::Timeout, 0));
}

#[tokio::test]
async fn a_server_that_stops_within_its_answer_times_out() {
    let server = say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", LIMIT).await;
    assert_eq!(outcome(server).await, (Outcome::Timeout, 0));
}

#[tokio::test]
async fn a_full_backlog_is_a_connect_timeout() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connected) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(connected.unwrap());
    }
    assert_eq!(outcome(address).await, (Outcome::ConnectTimeout, 0));
}

#[tokio::test]
async fn more_than_may_be_in_flight_is_cancelled_and_not_sent() {
    let server = say("", LIMIT).await;
    let stream = Stream { timeout: Duration::from_secs(1), in_flight_max: 5, ..stream(server) };
    let window = run(stream, 100.0, SPAN).await;
    assert_eq!(window.count(Outcome::Timeout), 5);
    assert_eq!((window.requests(), window.count(Outcome::Cancelled)), (5, window.unsent()));
    assert!(window.generator_fell_behind(Duration::from_secs(1)).is_some());
}

#[tokio::test]
async fn an_idle_connection_the_server_closed_fails_nothing() {
    let server = say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Duration::from_millis(20)).await;
    let window = run(stream(server), 5.0, Duration::from_millis(1_900)).await;
    assert!(window.requests() > 7);
    assert_eq!(window.failed(), 0, "{:?}", window.outcomes());
}

#[tokio::test]
async fn answers_are_counted_by_who_gave_them() {
    let server = serve(|number| async move {
        let name = ["web-1", "web-2", "web-3"][number as usize % 3];
        Response::builder().header("x-served-by", name).body(Full::default()).unwrap()
    })
    .await;
    let window = run(stream(server), 300.0, Duration::from_secs(1)).await;
    let served = window.served();
    let (least, most) = (served.values().min().unwrap(), served.values().max().unwrap());
    // Requests meant for the moment after the window may overtake its last ones.
    assert!(served.len() == 3 && most - least <= 5, "{served:?}");
    assert!((window.share("web-2") - 1.0 / 3.0).abs() < 0.02);
}
