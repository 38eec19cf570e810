use futures_util::future::join_all;
use http::StatusCode;

use crate::database::Database;
use crate::shop::TestShop;
use crate::wait::until;

async fn shop(flags: &[&str]) -> (Database, TestShop) {
    let database = Database::start().await;
    database.put("product:1", "{}");
    let shop = TestShop::open(database.address, &[&["--cache", "local"], flags].concat()).await;
    (database, shop)
}

#[tokio::test]
async fn the_second_reader_hits() {
    let (database, shop) = shop(&[]).await;
    let first = shop.get("/products/1").await;
    let second = shop.get("/products/1").await;
    assert_eq!((first.cache(), second.cache()), ("MISS", "HIT"));
    assert_eq!(second.header("x-db-node"), "db-1");
    assert!(second.header("server-timing").ends_with("db;dur=0.0"));
    assert_eq!((first.body, database.reads()), (second.body, 1));
}

#[tokio::test]
async fn two_hundred_readers_of_a_cold_key_cost_one_database_read() {
    let (database, shop) = shop(&[]).await;
    let replies = join_all((0..200).map(|_| {
        let shop = shop.clone();
        tokio::spawn(async move { shop.get("/products/1").await })
    }));
    for reply in replies.await {
        assert_eq!(reply.unwrap().status, StatusCode::OK);
    }
    assert_eq!(database.reads(), 1);
}

#[tokio::test]
async fn readers_that_share_a_fill_are_counted() {
    let (database, shop) = shop(&[]).await;
    database.hold_reads(true);
    let readers: Vec<_> = (0..5)
        .map(|_| {
            let shop = shop.clone();
            tokio::spawn(async move { shop.get("/products/1").await })
        })
        .collect();
    until("four wait for the fifth", async || shop.counted("webserver_reads_coalesced_total").await == 4)
        .await;
    database.hold_reads(false);
    for reader in readers {
        assert_eq!(reader.await.unwrap().cache(), "MISS");
    }
    assert_eq!(database.reads(), 1);
}

#[tokio::test]
async fn a_fill_goes_on_when_its_first_reader_hangs_up() {
    let (database, shop) = shop(&[]).await;
    database.hold_reads(true);
    let first = tokio::spawn({
        let shop = shop.clone();
        async move { shop.get("/products/1").await }
    });
    until("the database is asked", async || database.reads() == 1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    database.hold_reads(false);
    until("the fill has landed", async || shop.get("/products/1").await.cache() == "HIT").await;
    assert_eq!(database.reads(), 1);
    let gone = r#"webserver_requests_total{method="GET",route="/products/{id}",class="gone"}"#;
    assert_eq!((shop.counted(gone).await, shop.counted("webserver_in_flight").await), (1, 0));
}

#[tokio::test]
async fn a_copy_that_is_past_its_time_is_asked_for_again() {
    let (database, shop) = shop(&["--cache-ttl", "20ms", "--stale-after", "20s"]).await;
    shop.get("/products/1").await;
    database.put("product:1", r#"{"new":true}"#);
    until("the copy expires", async || shop.get("/products/1").await.text() == r#"{"new":true}"#).await;
}

#[tokio::test]
async fn that_there_is_nothing_is_cached_but_not_for_long() {
    let (database, shop) = shop(&[]).await;
    let first = shop.get("/products/new").await;
    let second = shop.get("/products/new").await;
    assert_eq!((first.cache(), second.cache()), ("MISS", "HIT"));
    assert_eq!(second.error(), (404, "unknown_product".into()));
    assert_eq!(database.reads(), 1);
    database.put("product:new", "{}");
    until("it is found", async || shop.get("/products/new").await.status == StatusCode::OK).await;
}

#[tokio::test]
async fn without_a_cache_every_read_goes_to_the_database() {
    let database = Database::start().await;
    database.put("product:1", "{}");
    let shop = TestShop::open(database.address, &["--cache", "none"]).await;
    for _ in 0..3 {
        assert_eq!(shop.get("/products/1").await.cache(), "BYPASS");
    }
    assert_eq!(database.reads(), 3);
}
