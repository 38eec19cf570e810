//! Passive health checks: what requests reveal about upstreams.

use http::Method;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::support::*;

async fn events(lb: &Balancer) -> Vec<(String, String)> {
    let (_, events) = lb.admin(Method::GET, "/events?format=json", Value::Null).await;
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let events = events.as_array().unwrap().iter();
    let told = events.map(|event| (text(event, "event"), text(event, "by")));
    told.filter(|(event, _)| event != "added").collect()
}

/// Its checks pass and its requests fail: a gray failure.
#[tokio::test]
async fn a_server_that_answers_500_is_out_after_a_few_requests() {
    let webs = [Web::start("web-1"), Web::start("web-2")];
    let lb = Balancer::over(&[&webs[0], &webs[1]], &["--passive-fall=3", "--threads=1"]).await;
    webs[0].fail_from_now_on();
    let mut failed = 0;
    let mut client = Client::open(lb.address).await;
    until(
        async || {
            failed += usize::from(client.get("/").await.status == 500);
            lb.state("web-1").await == "ejected"
        },
        "web-1 is ejected",
    )
    .await;
    assert!((3..=10).contains(&failed), "{failed} failed");
    for _ in 0..10 {
        assert_eq!(client.get("/").await.header("x-served-by"), "web-2");
    }
    assert_eq!(events(&lb).await, [("ejected".to_owned(), "passive".to_owned())]);

    // The other one is half of the fleet, so it stays, whatever it does.
    webs[1].fail_from_now_on();
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status, 500);
    }
    assert_eq!(lb.state("web-2").await, "up");
}

#[tokio::test]
async fn a_killed_server_is_out_before_its_checks_notice_and_back_when_they_pass() {
    let webs = [Web::start("web-1"), Web::start("web-2")];
    let flags = ["--passive-fall=3", "--health-interval=200ms"];
    let lb = Balancer::over(&[&webs[0], &webs[1]], &flags).await;
    let address = webs[0].address;
    webs[0].kill();
    let mut client = Client::open(lb.address).await;
    until(
        async || {
            client.get("/").await;
            ["ejected", "down"].contains(&&*lb.state("web-1").await)
        },
        "web-1 is out",
    )
    .await;
    assert_eq!(events(&lb).await, [("ejected".to_owned(), "passive".to_owned())]);
    lb.until_state("web-1", "down").await;
    let _again = Web::start_at("web-1", address);
    until(
        async || {
            assert_eq!(client.get("/").await.status, 200);
            lb.state("web-1").await == "up"
        },
        "web-1 is up",
    )
    .await;
    let told: Vec<_> = events(&lb).await.into_iter().map(|(event, _)| event).collect();
    assert_eq!(told, ["ejected", "admitted"]);
}

async fn ended(lb: &Balancer, upstream: &str, outcome: &str) -> bool {
    let line = format!(r#"lb_requests_total{{upstream="{upstream}",outcome="{outcome}"}} 1"#);
    lb.vitals.render().contains(&line)
}

/// A client can make a response's head too large, by cookies that are echoed; and it would be as
/// large on another upstream.
#[tokio::test]
async fn a_head_that_exceeds_a_limit_of_this_balancer_does_not_count() {
    for head in [format!("X: {}\r\n", "x".repeat(20_000)), "X: y\r\n".repeat(101)] {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 0\r\n\r\n");
        let address = raw_upstream(move |mut stream, _| {
            let answer = answer.clone();
            async move {
                read_head(&mut stream).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        })
        .await;
        let (talkative, web) = (format!("--upstream=talkative={address}"), Web::start("web-1"));
        let flags = ["--passive-fall=1", "--retries=1", "--max-header-bytes=8KiB", "--health=off"];
        let lb = Balancer::over(&[&web], &[&[&talkative[..]], &flags[..]].concat()).await;
        let answers = [lb.get("/").await, lb.get("/").await];
        let refused = answers.iter().find(|answer| answer.status == 502).expect("it is not taken elsewhere");
        assert_eq!(refused.header("x-lb-error"), "answer_too_large");
        until(async || ended(&lb, "talkative", "local").await, "it is counted").await;
        assert_eq!(lb.state("talkative").await, "up");
    }
}

/// An attempt that has less than the full try timeout, because another one has used the time up,
/// says nothing about its upstream.
#[tokio::test]
async fn what_is_left_of_a_request_s_time_is_no_measure() {
    let webs = [Web::start("web-1"), Web::start("web-2")];
    let flags =
        ["--retries=1", "--try-timeout=300ms", "--request-timeout=400ms", "--passive-fall=9", "--threads=1"];
    let lb = Balancer::over(&[&webs[0], &webs[1]], &flags).await;
    assert_eq!(lb.get("/never").await.header("x-lb-error"), "upstream_timeout");
    until(async || ended(&lb, "web-1", "timed_out").await, "the first has had its time").await;
    until(async || ended(&lb, "web-2", "local").await, "the second has not").await;
}

/// An attacker must not be able to eject servers.
#[tokio::test]
async fn what_clients_do_wrong_does_not_count() {
    let webs = [Web::start("web-1"), Web::start("web-2")];
    let flags = ["--passive-fall=1", "--header-timeout=50ms", "--max-body-bytes=10"];
    let lb = Balancer::over(&[&webs[0], &webs[1]], &flags).await;
    for _ in 0..4 {
        for wrong in [
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n123456789012345\r\n0\r\n\r\n",
            "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf",
        ] {
            raw(lb.address, wrong.as_bytes()).await;
        }
        // The client leaves before its response.
        let mut stream = tokio::net::TcpStream::connect(lb.address).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        drop(stream);
    }
    assert_eq!(lb.get("/").await.status, 200);
    assert!(events(&lb).await.is_empty(), "{:?}", events(&lb).await);
}
