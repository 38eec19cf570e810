use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::database::Database;
use crate::shop::TestShop;
use crate::wait::until;

/// Opens a shop whose copy of product 1 is stale.
async fn shop_with_a_stale_copy(flags: &[&str]) -> (Database, TestShop) {
    let database = Database::start().await;
    database.put("product:1", "{}");
    let always = ["--cache", "local", "--cache-ttl", "1ms", "--db-timeout", "60s"];
    let shop = TestShop::open(database.address, &[&always, flags].concat()).await;
    shop.get("/products/1").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    (database, shop)
}

/// Returns the duration of the fastest of some reads; a busy host slows some of them, not all.
async fn fastest_read(shop: &TestShop, cache: &str) -> Duration {
    let mut fastest = Duration::MAX;
    for _ in 0..10 {
        let began = Instant::now();
        assert_eq!(shop.get("/products/1").await.cache(), cache);
        fastest = fastest.min(began.elapsed());
    }
    fastest
}

#[tokio::test]
async fn a_stale_copy_is_served_soon_when_the_database_is_slow_and_says_so() {
    let (database, shop) = shop_with_a_stale_copy(&[]).await;
    database.hold_reads(true);
    let reply = shop.get("/products/1").await;
    assert_eq!((reply.status.as_u16(), reply.cache(), reply.text()), (200, "STALE", "{}".into()));
    assert!(fastest_read(&shop, "STALE").await < Duration::from_millis(200));
    // In total one more query than the one that filled the cache.
    assert_eq!(database.reads(), 2);
}

#[tokio::test]
async fn once_a_refill_is_late_nobody_else_waits_for_it() {
    let (database, shop) = shop_with_a_stale_copy(&["--stale-after", "2s"]).await;
    database.hold_reads(true);
    let began = Instant::now();
    assert_eq!(shop.get("/products/1").await.cache(), "STALE");
    assert!(began.elapsed() >= Duration::from_millis(1_990));
    assert!(fastest_read(&shop, "STALE").await < Duration::from_millis(500));
}

#[tokio::test]
async fn a_late_refill_is_kept_when_it_comes() {
    let (database, shop) = shop_with_a_stale_copy(&[]).await;
    database.put("product:1", r#"{"new":true}"#);
    database.hold_reads(true);
    assert_eq!(shop.get("/products/1").await.text(), "{}");
    database.hold_reads(false);
    until("the new one is there", async || shop.get("/products/1").await.text() == r#"{"new":true}"#).await;
}

#[tokio::test]
async fn without_the_database_what_was_read_is_stale_and_the_rest_is_unavailable() {
    let (database, shop) = shop_with_a_stale_copy(&[]).await;
    let address = database.stop().await;
    assert_eq!(shop.get("/products/1").await.cache(), "STALE");
    assert!(fastest_read(&shop, "STALE").await < Duration::from_millis(200));

    let began = Instant::now();
    let reply = shop.get("/products/2").await;
    assert_eq!(reply.error(), (503, "database_unavailable".into()));
    assert_eq!(reply.header("retry-after"), "1");
    assert!(began.elapsed() < Duration::from_secs(5), "refused, not timed out");
    assert!(shop.counted("webserver_database_failures_total").await >= 2);

    let database = Database::start_at(address).await;
    database.put("product:1", r#"{"new":true}"#);
    until("it is read again", async || shop.get("/products/1").await.text() == r#"{"new":true}"#).await;
}

#[tokio::test]
async fn a_database_that_is_gone_is_left_alone_for_a_while() {
    let (database, shop) = shop_with_a_stale_copy(&[]).await;
    database.stop().await;
    for _ in 0..100 {
        assert_eq!(shop.get("/products/1").await.cache(), "STALE");
    }
    let asked = shop.counted("webserver_database_reads_total").await;
    assert!(asked < 20, "100 readers asked {asked} times");
}

#[tokio::test]
async fn a_database_that_is_gone_is_left_alone_also_where_there_is_no_copy() {
    let (database, shop) = shop_with_a_stale_copy(&[]).await;
    let address = database.stop().await;
    for _ in 0..100 {
        let reply = shop.get("/products/2").await;
        assert_eq!(reply.error(), (503, "database_unavailable".into()));
        assert_eq!(reply.header("retry-after"), "1");
    }
    let asked = shop.counted("webserver_database_reads_total").await;
    assert!(asked < 20, "100 readers asked {asked} times");

    let database = Database::start_at(address).await;
    database.put("product:2", "{}");
    until("it is read again", async || shop.get("/products/2").await.status == StatusCode::OK).await;
}

#[tokio::test]
async fn what_was_written_is_read_though_a_moment_before_the_database_was_gone() {
    let (database, shop) = shop_with_a_stale_copy(&[]).await;
    let address = database.stop().await;
    assert_eq!(shop.get("/products/2").await.error(), (503, "database_unavailable".into()));
    let _database = Database::start_at(address).await;
    let product = r#"{"name":"Lamp","price":1}"#;
    assert_eq!(shop.put("/products/2", product).await.status, StatusCode::OK);
    assert_eq!(shop.get("/products/2").await.text(), product);
}

#[tokio::test]
async fn without_a_cache_every_reader_asks_a_database_that_is_gone() {
    let database = Database::start().await;
    let shop = TestShop::open(database.address, &["--cache", "none"]).await;
    database.stop().await;
    for _ in 0..10 {
        assert_eq!(shop.get("/products/1").await.error(), (503, "database_unavailable".into()));
    }
    assert_eq!(shop.counted("webserver_database_reads_total").await, 10);
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_a_timeout() {
    let database = Database::start().await;
    database.hold_reads(true);
    for cache in ["none", "local"] {
        let flags = ["--db-timeout", "50ms", "--cache", cache];
        let shop = TestShop::open(database.address, &flags).await;
        assert_eq!(shop.get("/products/1").await.error(), (504, "database_timeout".into()));
    }
}

#[tokio::test]
async fn a_write_without_an_answer_has_an_unknown_outcome() {
    let database = Database::start().await;
    database.hold_writes(true);
    let shop = TestShop::open(database.address, &["--db-timeout", "50ms"]).await;
    let reply = shop.put("/products/1", r#"{"name":"Lamp","price":1}"#).await;
    assert_eq!(reply.error(), (504, "outcome_unknown".into()));
    assert!(reply.json()["detail"].as_str().unwrap().contains("unknown"));
}

#[tokio::test]
async fn a_write_that_surely_did_not_happen_is_told_apart() {
    let database = Database::start().await;
    database.refuse_writes();
    let shop = TestShop::open(database.address, &[]).await;
    let reply = shop.put("/products/1", r#"{"name":"Lamp","price":1}"#).await;
    assert_eq!(reply.error(), (503, "not_written".into()));
    assert_eq!(reply.header("retry-after"), "3");

    database.stop().await;
    let reply = shop.put("/products/1", r#"{"name":"Lamp","price":1}"#).await;
    assert_eq!(reply.error(), (503, "database_unavailable".into()));
}
