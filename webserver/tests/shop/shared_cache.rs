use futures_util::future::join_all;
use http::StatusCode;
use redis::cmd;

use crate::database::Database;
use crate::redis::Redis;
use crate::shop::{Reply, TestShop};
use crate::wait::until;

const OLD: &str = r#"{"name":"Lamp","price":1}"#;
const NEW: &str = r#"{"name":"Lamp","price":2}"#;

/// By how many milliseconds the key outlives the rest.
const LIVES_LONGER_THAN_IT_RESTS: &str = "
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    return redis.call('PTTL', KEYS[1]) - (redis.call('HGET', KEYS[1], 'rests') - now)
";

async fn shops(count: usize, flags: &[&str]) -> (Database, Redis, Vec<TestShop>) {
    let (database, redis) = (Database::start().await, Redis::start().await);
    database.put("product:1", OLD);
    let url = redis.url();
    let flags = [&["--cache", "redis", "--redis", &url], flags].concat();
    let shops = join_all((0..count).map(|_| TestShop::open(database.address, &flags))).await;
    (database, redis, shops)
}

fn get(shop: &TestShop) -> tokio::task::JoinHandle<Reply> {
    let shop = shop.clone();
    tokio::spawn(async move { shop.get("/products/1").await })
}

#[tokio::test]
async fn what_one_server_has_read_another_one_has() {
    let (database, _redis, shops) = shops(2, &[]).await;
    let first = shops[0].get("/products/1").await;
    let second = shops[1].get("/products/1").await;
    assert_eq!((first.cache(), second.cache()), ("MISS", "HIT"));
    assert_eq!((second.header("x-db-node"), second.header("etag")), ("db-1", "\"1.1\""));
    assert!(second.header("server-timing").ends_with("db;dur=0.0"));
    assert_eq!((first.body, database.reads()), (second.body, 1));
}

#[tokio::test]
async fn two_hundred_readers_of_a_cold_key_on_five_servers_cost_one_database_read() {
    let (database, redis, shops) = shops(5, &[]).await;
    database.hold_reads(true);
    let readers: Vec<_> = (0..200).map(|reader| get(&shops[reader % 5])).collect();
    until("all of them wait", async || {
        let counting = shops.iter().map(|shop| shop.counted("webserver_reads_coalesced_total"));
        join_all(counting).await.iter().sum::<u64>() == 199
    })
    .await;
    database.hold_reads(false);
    for reader in readers {
        let reply = reader.await.unwrap();
        assert_eq!((reply.status, reply.cache()), (StatusCode::OK, "MISS"));
    }
    assert_eq!(database.reads(), 1);
    let asked = redis.scripts_run().await;
    assert!(
        asked < 2_000,
        "200 readers asked Redis {asked} times: not each of them may look again and again"
    );
}

#[tokio::test]
async fn that_there_is_nothing_is_cached_but_not_for_long() {
    let (database, _redis, shops) = shops(2, &[]).await;
    assert_eq!(shops[0].get("/products/new").await.cache(), "MISS");
    let second = shops[1].get("/products/new").await;
    assert_eq!((second.cache(), second.error()), ("HIT", (404, "unknown_product".into())));
    assert_eq!(database.reads(), 1);
    database.put("product:new", "{}");
    until("it is found", async || shops[0].get("/products/new").await.status == StatusCode::OK).await;
}

#[tokio::test]
async fn a_copy_that_is_past_its_time_is_asked_for_again() {
    let (database, _redis, shops) = shops(2, &["--cache-ttl", "20ms", "--stale-after", "20s"]).await;
    shops[0].get("/products/1").await;
    database.put("product:1", NEW);
    until("the copy expires", async || shops[1].get("/products/1").await.text() == NEW).await;
}

#[tokio::test]
async fn copies_live_in_redis_for_their_time_and_no_longer() {
    let (_database, redis, shops) = shops(1, &["--cache-ttl", "10s", "--stale-for", "20s"]).await;
    shops[0].get("/products/1").await;
    let lives: i64 = redis.ask(cmd("PTTL").arg("copy:product:1")).await.unwrap();
    // The last fifth of the first ten seconds is random.
    assert!((27_000..=30_000).contains(&lives), "{lives}");
}

#[tokio::test]
async fn a_write_on_one_server_is_read_on_every_other() {
    let (_database, _redis, shops) = shops(3, &[]).await;
    for price in 1..50 {
        let product = format!(r#"{{"name":"Lamp","price":{price}}}"#);
        shops[price % 3].get("/products/1").await;
        assert_eq!(shops[(price + 1) % 3].put("/products/1", &product).await.status, StatusCode::OK);
        assert_eq!(shops[(price + 2) % 3].get("/products/1").await.text(), product);
        assert_eq!(shops[price % 3].get("/products/1").await.cache(), "HIT");
    }
}

#[tokio::test]
async fn after_a_write_elsewhere_the_latest_is_asked_for_and_not_what_a_replica_has() {
    let (database, _redis, shops) = shops(2, &[]).await;
    shops[1].get("/products/1").await;
    assert_eq!(database.latest_reads(), 0);
    shops[0].put("/products/1", NEW).await;
    shops[1].get("/products/1").await;
    assert_eq!(database.latest_reads(), 1);
}

#[tokio::test]
async fn a_fill_that_a_write_on_another_server_overtook_is_not_kept() {
    let (database, _redis, shops) = shops(2, &[]).await;
    database.hold_reads(true);
    let before = get(&shops[0]);
    until("the database has read the old value", async || database.reads() == 1).await;
    assert_eq!(shops[1].put("/products/1", NEW).await.status, StatusCode::OK);
    database.hold_reads(false);
    assert_eq!(before.await.unwrap().text(), OLD, "it asked before the write");
    for shop in &shops {
        assert_eq!(shop.get("/products/1").await.text(), NEW);
    }
    assert_eq!(database.reads(), 2);
}

#[tokio::test]
async fn a_reader_after_a_write_does_not_wait_for_a_fill_from_before_it() {
    let (database, _redis, shops) = shops(2, &[]).await;
    database.hold_reads(true);
    let before = get(&shops[0]);
    until("the database has read the old value", async || database.reads() == 1).await;
    shops[1].put("/products/1", NEW).await;
    let after = [get(&shops[0]), get(&shops[1])];
    until("one of them asks for both", async || database.reads() == 2).await;
    database.hold_reads(false);
    assert_eq!(before.await.unwrap().text(), OLD);
    for after in after {
        assert_eq!(after.await.unwrap().text(), NEW);
    }
}

#[tokio::test]
async fn a_fill_whose_server_died_is_taken_over() {
    let (database, redis, shops) = shops(1, &["--db-timeout", "100ms"]).await;
    // A server that was killed leaves its token, with no task behind it.
    let mut fill = cmd("EVAL");
    fill.arg(include_str!("../../src/store/scripts/look.lua")).arg(1).arg("copy:product:1");
    let _: redis::Value = redis.ask(fill.arg("f".repeat(32)).arg(350).arg(0).arg(0)).await.unwrap();
    let reply = shops[0].get("/products/1").await;
    assert_eq!((reply.status, reply.cache(), reply.text()), (StatusCode::OK, "MISS", OLD.into()));
    assert_eq!(database.reads(), 1);
}

#[tokio::test]
async fn a_stale_copy_is_served_when_the_database_is_slow_and_when_it_is_gone() {
    let (database, _redis, shops) = shops(2, &["--cache-ttl", "1ms", "--db-timeout", "1s"]).await;
    shops[0].get("/products/1").await;
    until("the copy is stale", async || shops[0].get("/products/1").await.cache() == "MISS").await;
    database.hold_reads(true);
    for shop in &shops {
        let reply = shop.get("/products/1").await;
        assert_eq!((reply.status, reply.cache(), reply.text()), (StatusCode::OK, "STALE", OLD.into()));
    }
    let address = database.stop().await;
    for _ in 0..50 {
        let reply = shops[1].get("/products/1").await;
        assert_eq!((reply.status, reply.cache()), (StatusCode::OK, "STALE"));
    }
    let asked = shops[1].counted("webserver_database_reads_total").await;
    assert!(asked < 20, "a database that is gone is left alone, and was asked {asked} times");

    let database = Database::start_at(address).await;
    database.put("product:1", NEW);
    until("it is read again", async || shops[1].get("/products/1").await.text() == NEW).await;
}

#[tokio::test]
async fn without_a_copy_a_database_that_is_gone_is_told_and_nobody_waits_long() {
    let (database, _redis, shops) = shops(2, &["--db-timeout", "300ms"]).await;
    database.hold_reads(true);
    let began = tokio::time::Instant::now();
    for reader in [get(&shops[0]), get(&shops[1])] {
        assert_eq!(reader.await.unwrap().error(), (504, "database_timeout".into()));
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(shops[0].get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_a_copy_a_database_that_is_gone_is_left_alone_by_all_servers() {
    let (database, _redis, shops) = shops(2, &[]).await;
    let address = database.stop().await;
    for reader in 0..100 {
        let reply = shops[reader % 2].get("/products/1").await;
        assert_eq!(reply.error(), (503, "database_unavailable".into()));
        assert_eq!(reply.header("retry-after"), "1");
    }
    let counting = shops.iter().map(|shop| shop.counted("webserver_database_reads_total"));
    let asked: u64 = join_all(counting).await.iter().sum();
    assert!(asked < 20, "100 readers asked {asked} times");

    let database = Database::start_at(address).await;
    database.put("product:1", NEW);
    until("it is read again", async || shops[1].get("/products/1").await.status == StatusCode::OK).await;
    assert_eq!(shops[0].get("/products/1").await.cache(), "HIT");
}

#[tokio::test]
async fn what_was_written_is_read_though_a_moment_before_the_database_was_gone() {
    let (database, _redis, shops) = shops(2, &[]).await;
    let address = database.stop().await;
    assert_eq!(shops[1].get("/products/1").await.error(), (503, "database_unavailable".into()));
    let _database = Database::start_at(address).await;
    assert_eq!(shops[0].put("/products/1", NEW).await.status, StatusCode::OK);
    assert_eq!(shops[1].get("/products/1").await.text(), NEW);
}

#[tokio::test]
async fn that_a_fill_failed_is_known_for_a_moment_and_as_what_it_was() {
    // A query with a short time limit: the hash of the key must live longer than that.
    let (database, redis, shops) = shops(2, &["--db-timeout", "50ms"]).await;
    database.hold_reads(true);
    assert_eq!(shops[0].get("/products/1").await.error(), (504, "database_timeout".into()));
    let mut longer = cmd("EVAL");
    longer.arg(LIVES_LONGER_THAN_IT_RESTS).arg(1).arg("copy:product:1");
    let longer: i64 = redis.ask(&longer).await.unwrap();
    assert!(longer >= 0, "{longer} ms");
    assert_eq!(shops[1].get("/products/1").await.error(), (504, "database_timeout".into()));

    database.put("product:2", "not JSON");
    database.hold_reads(false);
    for shop in &shops {
        assert_eq!(shop.get("/products/2").await.error(), (502, "database_unreadable".into()));
    }
}
