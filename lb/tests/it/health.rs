//! Active health checks: which upstreams leave the rotation, and which return.

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::support::*;

#[tokio::test]
async fn a_killed_server_is_ejected_and_admitted_again_when_it_is_back() {
    let (one, two) = (Web::start("web-1"), Web::start("web-2"));
    let lb = Balancer::over(&[&one, &two], &[]).await;
    let address = two.address;
    two.kill();
    lb.until_state("web-2", "down").await;
    for _ in 0..20 {
        let answer = lb.get("/").await;
        assert_eq!((answer.status.as_u16(), answer.header("x-served-by")), (200, "web-1"));
    }
    let ejected = event(&lb, "ejected").await.expect("an ejection is an event");
    assert_eq!(
        (&ejected["name"], &ejected["by"], &ejected["failures"]),
        (&"web-2".into(), &"checks".into(), &3.into())
    );
    assert!(ejected["reason"].as_str().unwrap().contains("refused"), "{ejected}");

    let two = Web::start_at("web-2", address);
    lb.until_state("web-2", "up").await;
    let admitted = event(&lb, "admitted").await.expect("an admission is an event");
    assert_eq!(admitted["reason"], "2 checks in a row passed");
    until(async || lb.get("/").await.header("x-served-by") == "web-2", "web-2 serves again").await;
    assert!(two.served() > 0);
}

#[tokio::test]
async fn a_server_that_accepts_but_never_answers_is_ejected() {
    let frozen = raw_upstream(async |_stream, _| std::future::pending().await).await;
    let upstream = format!("--upstream=frozen={frozen}");
    let lb = Balancer::start(&[&upstream, "--health-timeout=20ms"]).await;
    lb.until_state("frozen", "down").await;
    let ejected = event(&lb, "ejected").await.unwrap();
    assert!(ejected["reason"].as_str().unwrap().contains("no answer within 20ms"), "{ejected}");
}

#[tokio::test]
async fn only_2xx_passes_a_check() {
    for (status, state) in [(200, "up"), (204, "up"), (302, "down"), (404, "down"), (503, "down")] {
        let address = raw_upstream(move |mut stream, _| async move {
            read_head(&mut stream).await;
            let answer = format!("HTTP/1.1 {status} X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        })
        .await;
        let lb = Balancer::start(&[&format!("--upstream=web-1={address}"), "--fall=1"]).await;
        let checked = async || {
            let (_, upstreams) = lb.admin(http::Method::GET, "/upstreams", Value::Null).await;
            upstreams[0]["last_check"].is_object()
        };
        until(checked, "it has been checked").await;
        assert_eq!(lb.state("web-1").await, state, "{status}");
    }
}

#[tokio::test]
async fn when_all_are_down_the_answer_is_503() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &[]).await;
    web.kill();
    lb.until_state("web-1", "down").await;
    assert_eq!(lb.get("/").await.status, 503);
}

#[tokio::test]
async fn without_checks_nobody_is_ejected() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--health=off"]).await;
    web.kill();
    for _ in 0..10 {
        let answer = lb.get("/").await;
        assert_eq!((answer.status.as_u16(), answer.header("x-lb-error")), (502, "connect_failed"));
    }
    assert_eq!(lb.state("web-1").await, "up");
}

async fn event(lb: &Balancer, called: &str) -> Option<Value> {
    let (_, events) = lb.admin(http::Method::GET, "/events?after=0&format=json", Value::Null).await;
    events.as_array().unwrap().iter().find(|event| event["event"] == called).cloned()
}
