//! Session affinity: a cookie brings a client back to its server.

use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;

use super::support::*;

/// Sends a request with these cookies; returns the server's name and the cookie that was set.
async fn visit(lb: &Balancer, cookies: &[&str]) -> (String, Option<String>) {
    let mut request = Request::get("/").header("host", "shop");
    for cookie in cookies {
        request = request.header("cookie", *cookie);
    }
    let answer = Client::open(lb.address).await.send(request.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(answer.status, 200);
    let set = answer.headers.get("set-cookie").map(|value| value.to_str().unwrap());
    if let Some(set) = set {
        assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
    }
    let cookie = set.and_then(|set| set.split(';').next()).map(str::to_owned);
    (answer.header("x-served-by").to_owned(), cookie)
}

#[tokio::test]
async fn a_client_stays_where_it_is() {
    let webs = [Web::start("web-1"), Web::start("web-2"), Web::start("web-3")];
    let lb = Balancer::over(&[&webs[0], &webs[1], &webs[2]], &["--policy=sticky"]).await;
    for _ in 0..3 {
        let (server, cookie) = visit(&lb, &[]).await;
        let cookie = format!("theme=dark; {}", cookie.expect("a new client is given a cookie"));
        for _ in 0..5 {
            assert_eq!(visit(&lb, &[&cookie]).await, (server.clone(), None));
        }
    }
    assert_eq!(webs.iter().map(Web::served).collect::<Vec<_>>(), [6, 6, 6], "new clients take turns");
}

#[tokio::test]
async fn whatever_is_no_cookie_of_ours_is_replaced() {
    let webs = [Web::start("web-1"), Web::start("web-2")];
    let lb = Balancer::over(&[&webs[0], &webs[1]], &["--policy=sticky"]).await;
    let (_, ours) = visit(&lb, &[]).await;
    let ours = ours.unwrap();
    let forged = format!("{}0", &ours[..ours.len() - 1]);
    let forged = if forged == ours { format!("{}1", &ours[..ours.len() - 1]) } else { forged };
    let huge = format!("lb-sticky={}", "a".repeat(8192));
    let twice = format!("{ours}; {ours}");
    for odd in [&forged[..], "lb-sticky=127.0.0.1:80", "lb-sticky", &huge, &twice] {
        let (_, cookie) = visit(&lb, &[odd]).await;
        assert!(cookie.is_some(), "{odd}");
    }
    assert!(visit(&lb, &[&ours, &ours]).await.1.is_some(), "in two lines");
}

#[tokio::test]
async fn the_clients_of_a_dead_server_move_and_those_of_a_draining_one_too() {
    let webs = [Web::start("web-1"), Web::start("web-2"), Web::start("web-3")];
    let lb = Balancer::over(&[&webs[0], &webs[1], &webs[2]], &["--policy=sticky"]).await;
    let (server, cookie) = visit(&lb, &[]).await;
    assert_eq!(server, "web-1");
    webs[0].kill();
    lb.until_state("web-1", "down").await;
    let (moved_to, moved) = visit(&lb, &[&cookie.unwrap()]).await;
    let moved = moved.expect("a client that moves is given a new cookie");
    assert_eq!(visit(&lb, &[&moved]).await, (moved_to.clone(), None));

    let path = format!("/upstreams/{moved_to}");
    lb.admin(Method::PATCH, &path, json!({ "drain": true })).await;
    let (last, cookie) = visit(&lb, &[&moved]).await;
    assert!(last != moved_to && last != "web-1" && cookie.is_some());
}

#[tokio::test]
async fn upstreams_see_only_the_other_cookies() {
    let web = Web::start("web-1");
    let lb = Balancer::over(&[&web], &["--policy=sticky"]).await;
    let request = |cookie: &str| {
        format!("GET /request HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n")
    };
    let answer = raw(lb.address, request("a=1; lb-sticky=x; b=2").as_bytes()).await;
    assert!(answer.contains("\ncookie: a=1; b=2\n"), "{answer}");
    let answer = raw(lb.address, request("lb-sticky=x").as_bytes()).await;
    assert!(!answer.contains("\ncookie:"), "{answer}");
}

#[tokio::test]
async fn balancers_that_share_a_secret_share_clients() {
    let webs = [Web::start("web-1"), Web::start("web-2")];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a secret of more than sixteen bytes").unwrap();
    let secret = format!("--sticky-secret-file={}", file.path().display());
    let mut balancers = Vec::new();
    for secret in [&secret[..], &secret, "--log-format=text"] {
        balancers.push(Balancer::over(&[&webs[0], &webs[1]], &["--policy=sticky", secret]).await);
    }
    let (server, cookie) = visit(&balancers[0], &[]).await;
    let cookie = cookie.unwrap();
    assert_eq!(visit(&balancers[1], &[&cookie]).await, (server, None));
    assert!(visit(&balancers[2], &[&cookie]).await.1.is_some(), "another secret");
}
