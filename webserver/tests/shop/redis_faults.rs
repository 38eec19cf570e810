//! Redis killed, frozen, emptied, slow, full: each has a clear error, and nothing hangs.

use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use redis::cmd;
use tokio::time::Instant;

use crate::database::Database;
use crate::redis::{Redis, slow_way_to};
use crate::shop::{Reply, TestShop};
use crate::visitor::Visitor;
use crate::wait::until;

const OLD: &str = r#"{"name":"Lamp","price":1}"#;
const NEW: &str = r#"{"name":"Lamp","price":2}"#;
const CLOSED: &str = r#"webserver_redis_breaker{state="closed"}"#;

/// The longest time of a request that meets an unresponsive Redis: its limit of 250 ms, plus what a
/// busy host adds.
const ONE_LIMIT: Duration = Duration::from_millis(500);

async fn shop(flags: &[&str]) -> (Database, Redis, TestShop) {
    let (database, redis) = (Database::start().await, Redis::start().await);
    let shop = open(&database, &redis.url(), flags).await;
    (database, redis, shop)
}

async fn open(database: &Database, url: &str, flags: &[&str]) -> TestShop {
    for product in ["1", "2", "7"] {
        database.put(&format!("product:{product}"), OLD);
    }
    let always = ["--sessions", "redis", "--cache", "redis", "--redis", url];
    TestShop::open(database.address, &[&always, flags].concat()).await
}

async fn timed(reply: impl Future<Output = Reply>) -> (Reply, Duration) {
    let began = Instant::now();
    (reply.await, began.elapsed())
}

async fn is_asked_again(shop: &TestShop) {
    until("Redis is asked again", async || shop.counted(CLOSED).await == 1).await;
}

/// What all kinds of outage have in common.
async fn is_an_outage(shop: &TestShop, visitor: &Visitor) {
    let (reply, took) = timed(Visitor::default().login(shop, "bob")).await;
    assert_eq!(reply.error(), (503, "sessions_unavailable".into()));
    assert_eq!(reply.header("retry-after"), "1");
    assert!(took < ONE_LIMIT, "{took:?}");
    // No visitor is told that they are logged out, because that is not known.
    for path in ["/me", "/cart"] {
        let (reply, took) = timed(visitor.get(shop, path)).await;
        assert_eq!(reply.error(), (503, "sessions_unavailable".into()), "{path}");
        assert!(took < ONE_LIMIT, "{path}: {took:?}");
    }
    let (reply, took) = timed(shop.get("/products/1")).await;
    assert_eq!((reply.status, reply.cache(), reply.text()), (StatusCode::OK, "BYPASS", OLD.into()));
    assert!(took < ONE_LIMIT, "{took:?}");
    // A balancer that took this server out for it would take out all the others too.
    assert_eq!(shop.get("/healthz").await.status, StatusCode::OK);
    // By now the breaker is open, and Redis costs nothing.
    until("it is left alone", async || shop.counted(CLOSED).await == 0).await;
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        fastest = fastest.min(timed(shop.get("/products/2")).await.1);
    }
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
}

#[tokio::test]
async fn redis_is_killed_and_comes_back_empty() {
    let (_database, mut redis, shop) = shop(&[]).await;
    let visitor = Visitor::logged_in(&shop).await;
    shop.get("/products/1").await;
    redis.kill();
    is_an_outage(&shop, &visitor).await;
    assert_eq!(visitor.put_into_cart(&shop, "7", 1).await.error(), (503, "sessions_unavailable".into()));
    assert_eq!(visitor.logout(&shop).await.error(), (503, "sessions_unavailable".into()));

    redis.restart().await;
    let began = Instant::now();
    is_asked_again(&shop).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(visitor.get(&shop, "/me").await.error(), (401, "unknown_session".into()));
    assert_eq!(Visitor::default().login(&shop, "ada").await.status, StatusCode::OK);
    assert_eq!(shop.get("/products/1").await.cache(), "MISS");
    assert_eq!(shop.get("/products/1").await.cache(), "HIT");
}

#[tokio::test]
async fn redis_is_frozen_and_thaws() {
    let (_database, redis, shop) = shop(&[]).await;
    let visitor = Visitor::logged_in(&shop).await;
    shop.get("/products/1").await;
    redis.freeze();
    is_an_outage(&shop, &visitor).await;
    redis.thaw();
    is_asked_again(&shop).await;
    assert_eq!(visitor.get(&shop, "/me").await.status, StatusCode::OK, "a frozen Redis forgets nothing");
    assert_eq!(shop.get("/products/1").await.cache(), "HIT");
}

#[tokio::test]
async fn a_cart_whose_change_was_not_confirmed_is_said_to_be_unknown() {
    let (_database, redis, shop) = shop(&[]).await;
    let visitor = Visitor::logged_in(&shop).await;
    // Redis accepts the command and does not reply.
    let () = redis.ask(cmd("CONFIG").arg("SET").arg("lua-time-limit").arg(0)).await.unwrap();
    let clicking = {
        let (shop, visitor) = (shop.clone(), visitor.clone());
        tokio::spawn(async move {
            loop {
                let reply = visitor.put_into_cart(&shop, "7", 1).await;
                if reply.status != StatusCode::OK {
                    return reply;
                }
            }
        })
    };
    until("she clicks", async || visitor.get(&shop, "/cart").await.json()["pieces"] != 0).await;
    redis.freeze();
    let (code, error) = clicking.await.unwrap().error();
    // It depends on which of its two calls was under way.
    assert!(
        [(504, "outcome_unknown"), (503, "sessions_unavailable")].contains(&(code, &*error)),
        "{code} {error}"
    );
    redis.thaw();
}

#[tokio::test]
async fn redis_answers_slowly_and_nobody_waits_longer_than_the_limit() {
    let (database, redis) = (Database::start().await, Redis::start().await);
    let way = slow_way_to(redis.address, Duration::from_millis(40)).await;
    let shop = open(&database, &format!("redis://{way}"), &[]).await;
    is_asked_again(&shop).await;
    // Within its limits, slow is only slow.
    let visitor = Visitor::logged_in(&shop).await;
    assert_eq!(visitor.get(&shop, "/me").await.status, StatusCode::OK);
    assert_eq!(shop.get("/products/1").await.status, StatusCode::OK);

    let way = slow_way_to(redis.address, Duration::from_secs(2)).await;
    let shop = open(&database, &format!("redis://{way}"), &[]).await;
    for _ in 0..5 {
        let (reply, took) = timed(Visitor::default().login(&shop, "bob")).await;
        assert_eq!(reply.error(), (503, "sessions_unavailable".into()));
        assert!(took < ONE_LIMIT, "{took:?}");
        let (reply, took) = timed(shop.get("/products/1")).await;
        assert_eq!((reply.status, reply.cache()), (StatusCode::OK, "BYPASS"));
        assert!(took < ONE_LIMIT, "{took:?}");
    }
}

#[tokio::test]
async fn redis_is_full_and_refuses() {
    let (_database, redis, shop) = shop(&[]).await;
    let visitor = Visitor::logged_in(&shop).await;
    shop.get("/products/1").await;
    redis.set_full(true).await;
    assert_eq!(Visitor::default().login(&shop, "bob").await.error(), (503, "sessions_unavailable".into()));
    // It still serves its data, and an existing cart can grow a little: Redis lets a script finish that
    // has begun to write.
    assert_eq!(visitor.put_into_cart(&shop, "7", 1).await.status, StatusCode::OK);
    assert_eq!(visitor.get(&shop, "/me").await.status, StatusCode::OK);
    assert_eq!(shop.get("/products/1").await.cache(), "HIT");
    // A document that cannot be stored is read past the cache.
    assert_eq!(shop.get("/products/2").await.cache(), "BYPASS");
    // A copy that was written over is still removed.
    assert_eq!(shop.put("/products/1", NEW).await.status, StatusCode::OK);
    assert_eq!(shop.get("/products/1").await.text(), NEW);

    redis.set_full(false).await;
    assert_eq!(Visitor::default().login(&shop, "bob").await.status, StatusCode::OK);
    assert_eq!(shop.get("/products/2").await.cache(), "MISS");
    assert_eq!(shop.get("/products/2").await.cache(), "HIT");
}

#[tokio::test]
async fn what_was_written_while_redis_was_out_of_reach_is_removed_when_it_is_back() {
    let (database, redis, shop) = shop(&[]).await;
    let other = open(&database, &redis.url(), &[]).await;
    shop.get("/products/1").await;
    redis.freeze();
    assert_eq!(shop.put("/products/1", NEW).await.status, StatusCode::OK);
    // The server that wrote it never shows the old value again.
    assert_eq!(shop.get("/products/1").await.text(), NEW);
    redis.thaw();
    is_asked_again(&shop).await;
    assert_eq!(shop.get("/products/1").await.text(), NEW);
    until("the others do not either", async || other.get("/products/1").await.text() == NEW).await;
    until("the cache is used for it again", async || shop.get("/products/1").await.cache() == "HIT").await;
}

#[tokio::test]
async fn so_many_reads_go_past_a_cache_that_is_gone_and_the_rest_are_sent_away() {
    let (database, mut redis, shop) = shop(&["--max-bypass-reads", "3"]).await;
    redis.kill();
    until("it is left alone", async || shop.counted(CLOSED).await == 0).await;
    database.hold_reads(true);
    let readers: Vec<_> = (0..10)
        .map(|_| {
            let shop = shop.clone();
            tokio::spawn(async move { shop.get("/products/1").await })
        })
        .collect();
    until("seven are sent away", async || shop.counted("webserver_bypass_refused_total").await == 7).await;
    until("three are served", async || database.reads() == 3).await;
    database.hold_reads(false);
    let replies = join_all(readers).await.into_iter().map(|reader| reader.unwrap());
    let (served, refused): (Vec<_>, Vec<_>) = replies.partition(|reply| reply.status == StatusCode::OK);
    assert_eq!((served.len(), refused.len()), (3, 7));
    for reply in refused {
        assert_eq!(reply.error(), (503, "overloaded".into()));
        assert_eq!(reply.header("retry-after"), "1");
    }
}

#[tokio::test]
async fn a_shop_opens_before_its_redis_does() {
    let (database, mut redis) = (Database::start().await, Redis::start().await);
    redis.kill();
    let shop = open(&database, &redis.url(), &[]).await;
    assert_eq!(shop.get("/products/1").await.cache(), "BYPASS");
    redis.restart().await;
    is_asked_again(&shop).await;
    assert_eq!(Visitor::default().login(&shop, "ada").await.status, StatusCode::OK);
}
