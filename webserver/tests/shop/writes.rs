use http::StatusCode;

use crate::database::Database;
use crate::shop::TestShop;
use crate::wait::until;

const OLD: &str = r#"{"name":"Lamp","price":1}"#;
const NEW: &str = r#"{"name":"Lamp","price":2}"#;

async fn shop(flags: &[&str]) -> (Database, TestShop) {
    let database = Database::start().await;
    database.put("product:1", OLD);
    let shop = TestShop::open(database.address, &[&["--cache", "local"], flags].concat()).await;
    (database, shop)
}

#[tokio::test]
async fn what_was_written_is_read_though_the_old_one_was_cached() {
    let (_database, shop) = shop(&[]).await;
    for price in 1..50 {
        let product = format!(r#"{{"name":"Lamp","price":{price}}}"#);
        shop.get("/products/1").await;
        assert_eq!(shop.put("/products/1", &product).await.status, StatusCode::OK);
        assert_eq!(shop.get("/products/1").await.text(), product);
        assert_eq!(shop.get("/products/1").await.cache(), "HIT");
    }
}

#[tokio::test]
async fn a_fill_that_began_before_a_write_does_not_bring_the_old_value_back() {
    let (database, shop) = shop(&[]).await;
    let get = || {
        let shop = shop.clone();
        tokio::spawn(async move { shop.get("/products/1").await })
    };
    database.hold_reads(true);
    let before = get();
    until("the database has read the old value", async || database.reads() == 1).await;
    assert_eq!(shop.put("/products/1", NEW).await.status, StatusCode::OK);
    let after = get();
    until("the reader after the write asks for itself", async || database.reads() == 2).await;
    database.hold_reads(false);

    assert_eq!(before.await.unwrap().text(), OLD);
    assert_eq!(after.await.unwrap().text(), NEW);
    let later = shop.get("/products/1").await;
    assert_eq!((later.text(), later.cache()), (NEW.into(), "HIT"));
}

#[tokio::test]
async fn an_old_value_that_lands_after_a_write_is_not_kept() {
    let (database, shop) = shop(&[]).await;
    database.hold_reads(true);
    let before = tokio::spawn({
        let shop = shop.clone();
        async move { shop.get("/products/1").await }
    });
    until("the database has read the old value", async || database.reads() == 1).await;
    assert_eq!(shop.put("/products/1", NEW).await.status, StatusCode::OK);
    database.hold_reads(false);
    assert_eq!(before.await.unwrap().text(), OLD);
    let later = shop.get("/products/1").await;
    assert_eq!((later.text(), later.cache()), (NEW.into(), "MISS"));
}

#[tokio::test]
async fn after_an_own_write_the_latest_is_asked_for_and_not_what_a_replica_has() {
    let (database, shop) = shop(&[]).await;
    shop.get("/products/1").await;
    assert_eq!(database.latest_reads(), 0);
    shop.put("/products/1", NEW).await;
    shop.get("/products/1").await;
    assert_eq!(database.latest_reads(), 1);
}

#[tokio::test]
async fn a_write_is_seen_through_the_cache_though_its_writer_hung_up() {
    let (database, shop) = shop(&[]).await;
    shop.get("/products/1").await;
    database.hold_writes(true);
    let writer = tokio::spawn({
        let shop = shop.clone();
        async move { shop.put("/products/1", NEW).await }
    });
    until("the database has the write", async || database.writes() == 1).await;
    writer.abort();
    assert!(writer.await.unwrap_err().is_cancelled());
    assert_eq!(shop.get("/products/1").await.text(), OLD, "it is not acknowledged yet");
    database.hold_writes(false);
    until("the copy is invalidated", async || shop.get("/products/1").await.text() == NEW).await;
}

#[tokio::test]
async fn a_write_with_an_unknown_outcome_invalidates_too() {
    let (database, shop) = shop(&["--db-timeout", "100ms"]).await;
    shop.get("/products/1").await;
    database.hold_writes(true);
    assert_eq!(shop.put("/products/1", NEW).await.error(), (504, "outcome_unknown".into()));
    let read = shop.get("/products/1").await;
    assert_eq!((read.text(), read.cache()), (NEW.into(), "MISS"));
}

#[tokio::test]
async fn a_refused_write_leaves_the_copy_where_it_is() {
    let (database, shop) = shop(&[]).await;
    shop.get("/products/1").await;
    database.refuse_writes();
    assert_eq!(shop.put("/products/1", NEW).await.error(), (503, "not_written".into()));
    assert_eq!(shop.get("/products/1").await.cache(), "HIT");
}

#[tokio::test]
async fn another_server_without_a_shared_cache_reads_what_a_replica_has() {
    for cache in ["none", "local"] {
        let database = Database::start().await;
        let flags = ["--cache", cache];
        let writer = TestShop::open(database.address, &flags).await;
        let other = TestShop::open(database.address, &flags).await;
        writer.put("/products/1", NEW).await;
        other.get("/products/1").await;
        assert_eq!((database.reads(), database.latest_reads()), (1, 0), "{cache}");
        writer.get("/products/1").await;
        assert_eq!((database.reads(), database.latest_reads()), (2, 1), "{cache}");
    }
}
