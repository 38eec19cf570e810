use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::json;

use crate::database::Database;
use crate::shop::{Reply, TestShop};

async fn shop(flags: &[&str]) -> (Database, TestShop) {
    let database = Database::start().await;
    database.put("account:7", "100");
    let shop = TestShop::open(database.address, flags).await;
    (database, shop)
}

async fn deposit(shop: &TestShop, names: &[&str], body: &'static str) -> Reply {
    let request = Request::post("/accounts/7/deposit").header("content-type", "application/json");
    let request = names.iter().fold(request, |request, name| request.header("idempotency-key", *name));
    shop.ask(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_deposit_is_in_the_account() {
    let (database, shop) = shop(&["--cache", "local"]).await;
    let told = deposit(&shop, &[], r#"{"amount":50}"#).await.json();
    assert_eq!((&told["id"], &told["balance"]), (&json!("7"), &json!(150)));
    let account = shop.get("/accounts/7").await;
    assert_eq!(account.json(), told, "the same, and the same version");
    assert_eq!(account.header("x-db-node"), "db-1");
    assert_eq!(database.latest_reads(), 1, "a replica that is behind is not good enough");
}

#[tokio::test]
async fn a_deposit_that_is_sent_again_under_its_name_counts_once() {
    let (_database, shop) = shop(&[]).await;
    let told = [(); 3].map(async |()| deposit(&shop, &["gift-1"], r#"{"amount":50}"#).await.json());
    for told in told {
        assert_eq!(told.await["balance"], 150);
    }
    assert_eq!(deposit(&shop, &["gift-2"], r#"{"amount":50}"#).await.json()["balance"], 200);
}

#[tokio::test]
async fn a_named_replica_shows_its_own_copy_and_how_old_it_may_be() {
    let (database, shop) = shop(&[]).await;
    let account = shop.get("/accounts/7?replica=db-1").await;
    assert_eq!(account.json()["balance"], 100);
    assert_eq!((account.header("x-db-node"), account.header("x-lag-ms")), ("db-1", "7"));
    assert_eq!((database.reads(), database.latest_reads()), (1, 0));
    assert_eq!(shop.get("/accounts/9?replica=db-1").await.error(), (404, "unknown_account".into()));
    assert_eq!(shop.get("/accounts/7?replica=db-9").await.error(), (404, "unknown_replica".into()));
    assert_eq!(shop.get("/accounts/7?copy=db-1").await.error(), (400, "bad_request".into()));
}

#[tokio::test]
async fn what_is_no_deposit_changes_nothing() {
    let (database, shop) = shop(&[]).await;
    for amount in ["0", "-50", "1000000001"] {
        let body: &'static str = format!("{{\"amount\":{amount}}}").leak();
        assert_eq!(deposit(&shop, &[], body).await.error(), (422, "bad_amount".into()));
    }
    for body in ["", "{}", r#"{"amount":"50"}"#, r#"{"amount":1.5}"#, r#"{"amount":50,"to":"me"}"#] {
        assert_eq!(deposit(&shop, &[], body).await.error().0, 400, "{body}");
    }
    for names in [&["one", "two"][..], &[""], &["with space"]] {
        assert_eq!(deposit(&shop, names, r#"{"amount":50}"#).await.error(), (400, "bad_request".into()));
    }
    assert_eq!(database.writes(), 0);
}

#[tokio::test]
async fn it_is_told_whether_a_deposit_may_have_happened() {
    let (database, shop) = shop(&["--db-timeout", "100ms"]).await;
    database.hold_writes(true);
    assert_eq!(deposit(&shop, &[], r#"{"amount":50}"#).await.error(), (504, "outcome_unknown".into()));
    database.refuse_writes();
    let refused = deposit(&shop, &[], r#"{"amount":50}"#).await;
    assert_eq!(refused.error(), (503, "not_written".into()));
    assert_eq!(refused.header("retry-after"), "3");
    database.stop().await;
    let unreachable = deposit(&shop, &[], r#"{"amount":50}"#).await;
    assert_eq!(unreachable.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(unreachable.error().1, "database_unavailable");
}
