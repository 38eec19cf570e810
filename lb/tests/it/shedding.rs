//! Load shedding: a client over the limit gets 503 at once.

use std::time::Instant;

use super::support::*;

#[tokio::test]
async fn one_connection_too_many_is_a_503_at_once_and_room_is_made_again() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--max-connections=4"]).await;
    let mut inside = Vec::new();
    for _ in 0..4 {
        let mut client = Client::open(lb.address).await;
        assert_eq!(client.get("/").await.status, 200);
        inside.push(client);
    }
    let begun = Instant::now();
    for _ in 0..10 {
        let answer = lb.get("/").await;
        assert_eq!((answer.status.as_u16(), answer.header("x-lb-error")), (503, "overloaded"));
        assert_eq!((answer.header("retry-after"), answer.header("connection")), ("1", "close"));
    }
    assert!(begun.elapsed().as_secs() < 2, "{:?}", begun.elapsed());
    for client in &mut inside {
        assert_eq!(client.get("/").await.status, 200, "those inside are not disturbed");
    }
    inside.pop();
    until(async || lb.get("/").await.status == 200, "there is room again").await;
    assert!(lb.vitals.render().contains(r#"refused_total{error="overloaded"}"#), "{}", lb.vitals.render());
}

#[tokio::test]
async fn whoever_is_turned_away_without_asking_keeps_nobody_out() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--max-connections=1", "--threads=1"]).await;
    let mut inside = Client::open(lb.address).await;
    assert_eq!(inside.get("/").await.status, 200);
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(tokio::net::TcpStream::connect(lb.address).await.unwrap());
    }
    assert_eq!(lb.get("/").await.status, 503);
    assert_eq!(inside.get("/").await.status, 200);
}
