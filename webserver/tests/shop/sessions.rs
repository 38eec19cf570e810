use std::collections::BTreeSet;

use futures_util::future::join_all;
use http::StatusCode;
use redis::cmd;
use serde_json::json;

use crate::database::Database;
use crate::redis::Redis;
use crate::shop::TestShop;
use crate::visitor::Visitor;
use crate::wait::until;

/// One shop with sessions in memory, and one with sessions in Redis.
async fn shops(flags: &[&str]) -> (Database, Redis, [TestShop; 2]) {
    let (database, redis) = (Database::start().await, Redis::start().await);
    for product in 0..120 {
        database.put(&format!("product:{product}"), "{}");
    }
    let memory = TestShop::open(database.address, flags).await;
    let shared = in_redis(&database, &redis, flags).await;
    (database, redis, [memory, shared])
}

async fn in_redis(database: &Database, redis: &Redis, flags: &[&str]) -> TestShop {
    let url = redis.url();
    TestShop::open(database.address, &[&["--sessions", "redis", "--redis", &url], flags].concat()).await
}

#[tokio::test]
async fn who_logs_in_is_known_until_they_log_out() {
    let (_database, _redis, shops) = shops(&[]).await;
    for shop in &shops {
        let mut visitor = Visitor::default();
        assert_eq!(visitor.get(shop, "/me").await.error(), (401, "unknown_session".into()));
        let reply = visitor.login(shop, "ada").await;
        assert_eq!((reply.status, reply.json()), (StatusCode::OK, json!({ "user": "ada" })));
        let cookie = reply.header("set-cookie");
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
        assert_eq!(reply.header("cache-control"), "no-store");

        assert_eq!(visitor.get(shop, "/me").await.json(), json!({ "user": "ada" }));
        assert_eq!(visitor.logout(shop).await.status, StatusCode::NO_CONTENT);
        // The cookie is still sent: the server has to forget the session.
        assert_eq!(visitor.get(shop, "/me").await.error(), (401, "unknown_session".into()));
        assert_eq!(visitor.logout(shop).await.status, StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn a_login_gives_a_new_id_and_ends_the_session_before_it() {
    let (_database, _redis, shops) = shops(&[]).await;
    for shop in &shops {
        let planted = Visitor { cookie: Some(format!("session={}", "a".repeat(32))) };
        let mut visitor = planted.clone();
        visitor.login(shop, "ada").await;
        assert_ne!(visitor.cookie, planted.cookie, "an id that somebody else may know");
        assert_eq!(planted.get(shop, "/me").await.status, StatusCode::UNAUTHORIZED);

        let before = visitor.clone();
        visitor.login(shop, "ada").await;
        assert_eq!(before.get(shop, "/me").await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(visitor.get(shop, "/me").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn what_is_put_into_a_cart_is_in_it() {
    let (_database, _redis, shops) = shops(&[]).await;
    for shop in &shops {
        let visitor = Visitor::logged_in(shop).await;
        assert_eq!(visitor.get(shop, "/cart").await.json(), json!({ "items": [], "pieces": 0 }));
        visitor.put_into_cart(shop, "7", 2).await;
        visitor.put_into_cart(shop, "3", 1).await;
        let reply = visitor.put_into_cart(shop, "7", 1).await;
        let cart = json!({
            "items": [{ "product": "3", "quantity": 1 }, { "product": "7", "quantity": 3 }],
            "pieces": 4,
        });
        assert_eq!((reply.status, reply.json()), (StatusCode::OK, cart.clone()));
        assert_eq!(visitor.get(shop, "/cart").await.json(), cart);
    }
}

#[tokio::test]
async fn bad_items_are_refused_and_change_nothing() {
    let (_database, _redis, shops) = shops(&[]).await;
    for shop in &shops {
        let visitor = Visitor::logged_in(shop).await;
        for quantity in [0, -1, 101, 1_000_000_000, i64::MIN] {
            let reply = visitor.put_into_cart(shop, "7", quantity).await;
            assert_eq!(reply.error(), (422, "bad_quantity".into()), "{quantity}");
        }
        assert_eq!(visitor.put_into_cart(shop, "999", 1).await.error(), (404, "unknown_product".into()));
        assert_eq!(visitor.put_into_cart(shop, "a b", 1).await.error(), (400, "bad_request".into()));
        for item in [json!({}), json!([]), json!({ "product": 7, "quantity": 1 }), json!({ "product": "7" })]
        {
            let reply = visitor.ask(shop, http::Method::POST, "/cart/items", Some(item)).await;
            assert_eq!(reply.error(), (400, "bad_request".into()));
        }
        let stranger = Visitor::default();
        assert_eq!(stranger.put_into_cart(shop, "7", 1).await.error(), (401, "unknown_session".into()));
        assert_eq!(visitor.get(shop, "/cart").await.json()["pieces"], 0);
    }
}

#[tokio::test]
async fn a_cart_holds_a_hundred_products_and_a_thousand_pieces() {
    let (_database, _redis, shops) = shops(&[]).await;
    for shop in &shops {
        let visitor = Visitor::logged_in(shop).await;
        for product in 0..100 {
            let reply = visitor.put_into_cart(shop, &product.to_string(), 1).await;
            assert_eq!(reply.status, StatusCode::OK);
        }
        assert_eq!(visitor.put_into_cart(shop, "100", 1).await.error(), (422, "cart_full".into()));
        for _ in 0..9 {
            assert_eq!(visitor.put_into_cart(shop, "5", 100).await.status, StatusCode::OK);
        }
        assert_eq!(visitor.put_into_cart(shop, "5", 1).await.error(), (422, "cart_full".into()));
        assert_eq!(visitor.get(shop, "/cart").await.json()["pieces"], 1_000);
    }
}

#[tokio::test]
async fn users_have_names_of_reasonable_length() {
    let (_database, _redis, shops) = shops(&[]).await;
    for shop in &shops {
        for user in ["", "a\nb", "a\0", &"x".repeat(65)] {
            let reply = Visitor::default().login(shop, user).await;
            assert_eq!(reply.error(), (422, "bad_user".into()), "{user:?}");
        }
        for user in ["a", "Ada Lovelace", "é'; DROP TABLE", &"é".repeat(64)] {
            assert_eq!(Visitor::default().login(shop, user).await.json()["user"], user);
        }
    }
}

#[tokio::test]
async fn a_malformed_cookie_is_no_session() {
    let (_database, redis, shops) = shops(&[]).await;
    for shop in &shops {
        for value in
            ["", "x", &"g".repeat(32), &"A".repeat(32), &"0".repeat(4_000), "%00", "\"\"", "../../etc"]
        {
            let visitor = Visitor { cookie: Some(format!("session={value}")) };
            assert_eq!(
                visitor.get(shop, "/me").await.error(),
                (401, "unknown_session".into()),
                "{value:.40}"
            );
        }
    }
    assert_eq!(redis.scripts_run().await, 0, "Redis was asked for what cannot be a session");
}

#[tokio::test]
async fn an_unused_session_ends_and_a_used_one_lives_on() {
    let (_database, _redis, shops) = shops(&["--session-idle", "600ms"]).await;
    for shop in &shops {
        let (unused, used) = (Visitor::logged_in(shop).await, Visitor::logged_in(shop).await);
        let known = async |visitor: &Visitor| visitor.get(shop, "/me").await.status == StatusCode::OK;
        for _ in 0..12 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            assert!(known(&used).await, "it was used a moment ago");
        }
        assert!(!known(&unused).await, "nobody has used it for twice its time");
    }
}

#[tokio::test]
async fn a_session_ends_at_last_however_busy_it_is() {
    let (_database, _redis, shops) = shops(&["--session-absolute", "500ms"]).await;
    for shop in &shops {
        let visitor = Visitor::logged_in(shop).await;
        let gone = async || visitor.get(shop, "/me").await.status == StatusCode::UNAUTHORIZED;
        until("the session ends though it is used all the time", gone).await;
        assert_eq!(visitor.put_into_cart(shop, "7", 1).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn in_memory_a_session_is_known_to_one_server_only() {
    let database = Database::start().await;
    let one = TestShop::open(database.address, &[]).await;
    let other = TestShop::open(database.address, &[]).await;
    let visitor = Visitor::logged_in(&one).await;
    assert_eq!(visitor.get(&one, "/me").await.status, StatusCode::OK);
    assert_eq!(visitor.get(&other, "/me").await.error(), (401, "unknown_session".into()));
}

#[tokio::test]
async fn two_servers_that_add_to_one_cart_at_once_lose_nothing() {
    let (database, redis) = (Database::start().await, Redis::start().await);
    database.put("product:7", "{}");
    let shops = [in_redis(&database, &redis, &[]).await, in_redis(&database, &redis, &[]).await];
    let visitor = Visitor::logged_in(&shops[0]).await;
    let clicks = (0..200).map(|click| {
        let (shop, visitor) = (shops[click % 2].clone(), visitor.clone());
        tokio::spawn(async move { visitor.put_into_cart(&shop, "7", 1).await.status })
    });
    let statuses: BTreeSet<_> = join_all(clicks).await.into_iter().map(|click| click.unwrap()).collect();
    assert_eq!(statuses, BTreeSet::from([StatusCode::OK]));
    assert_eq!(visitor.get(&shops[1], "/cart").await.json()["pieces"], 200);
}

#[tokio::test]
async fn a_session_that_was_ended_elsewhere_is_not_brought_back_by_a_click() {
    let (database, redis) = (Database::start().await, Redis::start().await);
    database.put("product:7", "{}");
    let shops = [in_redis(&database, &redis, &[]).await, in_redis(&database, &redis, &[]).await];
    let visitor = Visitor::logged_in(&shops[0]).await;
    visitor.logout(&shops[0]).await;
    assert_eq!(visitor.put_into_cart(&shops[1], "7", 1).await.status, StatusCode::UNAUTHORIZED);
    let keys: Vec<String> = redis.ask(cmd("KEYS").arg("*")).await.unwrap();
    assert_eq!(keys, [""; 0]);
}

#[tokio::test]
async fn redis_does_not_learn_what_would_let_somebody_in() {
    let (database, redis) = (Database::start().await, Redis::start().await);
    let shop = in_redis(&database, &redis, &[]).await;
    let visitor = Visitor::logged_in(&shop).await;
    let id = visitor.cookie.unwrap().trim_start_matches("session=").to_owned();
    let keys: Vec<String> = redis.ask(cmd("KEYS").arg("*")).await.unwrap();
    assert!(keys.len() == 1 && !keys[0].contains(&id), "{keys:?}");
    let lives: i64 = redis.ask(cmd("PTTL").arg(&keys[0])).await.unwrap();
    assert!((1..=30 * 60 * 1000).contains(&lives), "{lives}");
}
