//! The distribution of requests: weights, slow start, least connections, panic mode; and how the
//! admin interface shows it.

use http::Method;
use serde_json::{Value, json};

use super::support::*;

async fn spread(lb: &Balancer, requests: usize) -> Vec<String> {
    let mut client = Client::open(lb.address).await;
    let mut served = Vec::new();
    for _ in 0..requests {
        served.push(client.get("/").await.header("x-served-by").to_owned());
    }
    served
}

fn count(served: &[String], name: &str) -> usize {
    served.iter().filter(|server| *server == name).count()
}

#[tokio::test]
async fn weights_are_kept_to_exactly_and_can_be_changed() {
    let (one, two) = (Web::start("web-1"), Web::start("web-2"));
    let heavy = format!("{};weight=3", one.flag());
    let lb = Balancer::start(&[&heavy, &two.flag()]).await;
    let served = spread(&lb, 8).await;
    assert_eq!(served[..4], ["web-1", "web-1", "web-2", "web-1"]);
    assert_eq!(count(&served, "web-1"), 6);

    for wrong in [json!({ "weight": 0 }), json!({ "weight": 101 }), json!({}), json!({ "wait": 1 })] {
        let (status, _) = lb.admin(Method::PATCH, "/upstreams/web-2", wrong.clone()).await;
        assert_eq!(status, 400, "{wrong}");
    }
    let (status, done) = lb.admin(Method::PATCH, "/upstreams/web-2", json!({ "weight": 9 })).await;
    assert_eq!((status.as_u16(), done), (200, json!({ "name": "web-2", "weight": 9 })));
    assert_eq!(count(&spread(&lb, 12).await, "web-2"), 9);
}

#[tokio::test]
async fn the_least_busy_gets_what_the_busy_do_not() {
    let (one, two) = (Web::start("web-1"), Web::start("web-2"));
    for policy in ["--policy=least-busy", "--policy=two-choices"] {
        let lb = Balancer::over(&[&one, &two], &[policy]).await;
        let mut busy = Client::open(lb.address).await;
        let waiting = tokio::spawn(async move { busy.try_get("/never").await });
        let in_flight = async || {
            let (_, upstreams) = lb.admin(Method::GET, "/upstreams", Value::Null).await;
            upstreams.as_array().unwrap().iter().find(|one| one["in_flight"] == 1).cloned()
        };
        until(async || in_flight().await.is_some(), "a request is in flight").await;
        let busy = in_flight().await.unwrap()["name"].as_str().unwrap().to_owned();
        assert_eq!(count(&spread(&lb, 10).await, &busy), 0, "{policy}");
        waiting.abort();
    }
}

#[tokio::test]
async fn one_that_returns_starts_slowly() {
    let (one, two) = (Web::start("web-1"), Web::start("web-2"));
    let lb = Balancer::over(&[&one, &two], &["--slow-start=1h"]).await;
    assert_eq!(count(&spread(&lb, 10).await, "web-2"), 5, "at the start nobody is slow");
    let address = two.address;
    two.kill();
    lb.until_state("web-2", "down").await;
    let _two = Web::start_at("web-2", address);
    lb.until_state("web-2", "up").await;
    assert_eq!(count(&spread(&lb, 22).await, "web-2"), 2, "a tenth of the other's share");
}

#[tokio::test]
async fn a_slow_start_ends_with_the_full_share() {
    let (one, two) = (Web::start("web-1"), Web::start("web-2"));
    let lb = Balancer::over(&[&one], &["--slow-start=300ms"]).await;
    let body = json!({ "name": "web-2", "address": two.address.to_string() });
    lb.admin(Method::POST, "/upstreams", body).await;
    lb.until_state("web-2", "up").await;
    until(async || count(&spread(&lb, 10).await, "web-2") == 5, "web-2 has its half").await;
}

#[tokio::test]
async fn checks_that_fail_everywhere_are_not_believed() {
    let webs = [Web::start("web-1"), Web::start("web-2")];
    let lb = Balancer::over(&[&webs[0], &webs[1]], &["--health-path=/fail"]).await;
    lb.until_state("web-1", "down").await;
    lb.until_state("web-2", "down").await;
    assert_eq!(count(&spread(&lb, 10).await, "web-1"), 5, "nobody is refused");
    assert_eq!(lb.admin(Method::GET, "/policy", Value::Null).await.1["panic"], true);
    assert!(lb.vitals.render().contains("\nlb_panic 1\n"), "{}", lb.vitals.render());

    let never = ["--health-path=/fail", "--panic-threshold=0"];
    let lb = Balancer::over(&[&webs[0], &webs[1]], &never).await;
    lb.until_state("web-1", "down").await;
    lb.until_state("web-2", "down").await;
    assert_eq!(lb.get("/").await.status, 503);
}

#[tokio::test]
async fn the_next_turn_can_be_seen_before_it_is_taken() {
    let webs = [Web::start("web-1"), Web::start("web-2"), Web::start("web-3")];
    let lb = Balancer::over(&[&webs[0], &webs[1], &webs[2]], &[]).await;
    for turn in 0..7 {
        let (_, policy) = lb.admin(Method::GET, "/policy", Value::Null).await;
        assert_eq!((&policy["policy"], &policy["turns_taken"]), (&"round-robin".into(), &turn.into()));
        let (_, upstreams) = lb.admin(Method::GET, "/upstreams", Value::Null).await;
        let next: Vec<_> = upstreams.as_array().unwrap().iter().filter(|one| one["next"] == true).collect();
        assert_eq!((next.len(), &next[0]["name"]), (1, &policy["next"]));
        assert_eq!((&next[0]["breaker"], &next[0]["effective_weight"]), (&"closed".into(), &1.0.into()));
        assert_eq!(lb.get("/").await.header("x-served-by"), policy["next"]);
        assert_eq!(policy["order"].as_array().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_policy_is_switched_over_the_admin_interface() {
    let (one, two) = (Web::start("web-1"), Web::start("web-2"));
    let lb = Balancer::over(&[&one, &two], &[]).await;
    let (status, policy) = lb.admin(Method::PUT, "/policy", json!({ "policy": "p2c" })).await;
    assert_eq!((status.as_u16(), &policy["policy"]), (200, &"two-choices".into()));
    let (status, problem) = lb.admin(Method::PUT, "/policy", json!({ "policy": "sticky" })).await;
    assert_eq!((status.as_u16(), &problem["error"]), (409, &"not_while_running".into()));
    let (status, _) = lb.admin(Method::PUT, "/policy", json!({ "policy": "random" })).await;
    assert_eq!(status.as_u16(), 400);
    assert_eq!(lb.admin(Method::GET, "/policy", Value::Null).await.1["policy"], "two-choices");
}
