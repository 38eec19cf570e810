use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::json;

use crate::database::Database;
use crate::shop::TestShop;

const LAMP: &str = r#"{"name":"Lamp","price":1999}"#;

async fn shop() -> (Database, TestShop) {
    let database = Database::start().await;
    let shop = TestShop::open(database.address, &[]).await;
    (database, shop)
}

#[tokio::test]
async fn a_product_is_read_as_it_was_written() {
    let (_database, shop) = shop().await;
    let put = shop.put("/products/lamp", LAMP).await;
    assert_eq!(put.status, StatusCode::OK);
    assert_eq!(put.json(), json!({"id": "lamp", "version": "1.1"}));

    let got = shop.get("/products/lamp").await;
    assert_eq!((got.status, got.text()), (StatusCode::OK, LAMP.into()));
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!((got.cache(), got.header("x-db-node"), got.header("etag")), ("BYPASS", "db-1", "\"1.1\""));
    let timing = got.header("server-timing");
    assert!(timing.starts_with("cache;dur=") && timing.contains(", db;dur="), "{timing}");
}

#[tokio::test]
async fn a_product_that_is_not_there_is_unknown() {
    let (_database, shop) = shop().await;
    let reply = shop.get("/products/999").await;
    assert_eq!(reply.error(), (404, "unknown_product".into()));
    assert_eq!(reply.cache(), "BYPASS");
}

#[tokio::test]
async fn render_is_a_page_and_asks_no_database() {
    let (database, shop) = shop().await;
    let reply = shop.get("/render").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.header("content-type").starts_with("text/html"));
    assert!(reply.text().contains("<h1>"));
    assert_eq!(database.reads(), 0);
}

#[tokio::test]
async fn health_does_not_depend_on_the_database() {
    let (database, shop) = shop().await;
    database.stop().await;
    assert_eq!(shop.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(shop.get("/products/1").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(shop.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_front_page_says_who_served_it() {
    let (_database, shop) = shop().await;
    let reply = shop.get("/").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.text().contains("Served by <b>"), "{}", reply.text());
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_told_so() {
    let (_database, shop) = shop().await;
    for path in ["/product/1", "/products", "/products/", "/products/1/2", "/healthz/x"] {
        assert_eq!(shop.get(path).await.error(), (404, "not_found".into()), "{path}");
    }
    for (method, path, allow) in [
        (Method::DELETE, "/products/1", "GET,HEAD,PUT"),
        (Method::POST, "/render", "GET,HEAD"),
        (Method::PUT, "/healthz", "GET,HEAD"),
    ] {
        let reply = shop.send(method, path, None, Body::empty()).await;
        assert_eq!(reply.error(), (405, "method_not_allowed".into()), "{path}");
        assert_eq!(reply.header("allow"), allow);
    }
}

#[tokio::test]
async fn bad_ids_are_refused() {
    let (database, shop) = shop().await;
    let long = "x".repeat(65);
    let huge = "x".repeat(60_000);
    for id in ["%20", "a%2Fb", "..%2f..%2fetc", "%00", "%FF", "%C3%A9", "a:b", "a.b", &long, &huge] {
        let path = format!("/products/{id}");
        assert_eq!(shop.get(&path).await.error(), (400, "bad_request".into()), "{id:.20}");
        assert_eq!(shop.put(&path, LAMP).await.error(), (400, "bad_request".into()), "{id:.20}");
    }
    assert_eq!((database.reads(), database.writes()), (0, 0));
}

#[tokio::test]
async fn bad_products_are_refused() {
    let (database, shop) = shop().await;
    let nested = format!(r#"{{"name":"x","price":1,"deep":{}"#, "[".repeat(20_000));
    for body in ["", "{", "[]", r#"{"name":"x"}"#, r#"{"name":"x","price":-1}"#, &nested] {
        assert_eq!(shop.put("/products/1", body).await.error(), (400, "bad_request".into()), "{body:.40}");
    }
    let invalid = Body::from(&b"{\"name\":\"\xff\",\"price\":1}"[..]);
    let reply = shop.send(Method::PUT, "/products/1", Some("application/json"), invalid).await;
    assert_eq!(reply.error(), (400, "bad_request".into()));
    assert_eq!(database.writes(), 0);
}

#[tokio::test]
async fn a_body_must_say_that_it_is_json() {
    let (database, shop) = shop().await;
    for kind in [None, Some("text/plain"), Some("application/jsonish"), Some("")] {
        let reply = shop.send(Method::PUT, "/products/1", kind, Body::from(LAMP)).await;
        assert_eq!(reply.error(), (415, "unsupported_media_type".into()), "{kind:?}");
    }
    assert_eq!(database.writes(), 0);
    let kind = Some("Application/JSON; charset=utf-8");
    assert_eq!(shop.send(Method::PUT, "/products/1", kind, Body::from(LAMP)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_of_64_kib_is_taken_and_one_byte_more_is_not() {
    let (_database, shop) = shop().await;
    let product = |bytes: usize| {
        let rest = bytes - r#"{"name":"","price":1}"#.len();
        format!(r#"{{"name":"{}","price":1}}"#, "x".repeat(rest))
    };
    assert_eq!(shop.put("/products/1", &product(64 * 1024)).await.status, StatusCode::OK);
    let too_large = product(64 * 1024 + 1);
    assert_eq!(shop.put("/products/1", &too_large).await.error(), (413, "body_too_large".into()));
    // In pieces, so that the length is not announced.
    let pieces = too_large.into_bytes().chunks(1000).map(|piece| Ok(piece.to_vec())).collect::<Vec<_>>();
    let body = Body::from_stream(futures_util::stream::iter(pieces as Vec<std::io::Result<_>>));
    let reply = shop.send(Method::PUT, "/products/1", Some("application/json"), body).await;
    assert_eq!(reply.error(), (413, "body_too_large".into()));
}

#[tokio::test]
async fn what_is_not_json_in_the_database_is_not_passed_off_as_json() {
    let (database, shop) = shop().await;
    database.put("product:1", "<html>");
    assert_eq!(shop.get("/products/1").await.error(), (502, "database_unreadable".into()));
}

#[tokio::test]
async fn requests_are_counted_by_route_and_class() {
    let (_database, shop) = shop().await;
    shop.put("/products/1", LAMP).await;
    for path in ["/products/1", "/products/2", "/nowhere", "/products/3", "/render"] {
        shop.get(path).await;
    }
    let requests = async |labels: &str| shop.counted(&format!("webserver_requests_total{{{labels}}}")).await;
    let route = r#"route="/products/{id}""#;
    assert_eq!(requests(&format!(r#"method="GET",{route},class="2xx""#)).await, 1);
    assert_eq!(requests(&format!(r#"method="GET",{route},class="4xx""#)).await, 2);
    assert_eq!(requests(&format!(r#"method="PUT",{route},class="2xx""#)).await, 1);
    assert_eq!(requests(r#"method="GET",route="other",class="4xx""#).await, 1);
    assert_eq!(shop.counted(r#"webserver_reads_total{cache="none",from="BYPASS"}"#).await, 3);
    assert_eq!(shop.counted("webserver_database_reads_total").await, 3);
    assert_eq!(shop.counted("webserver_database_writes_total").await, 1);
    assert_eq!(shop.counted("webserver_in_flight").await, 0);
    let seconds = r#"webserver_request_seconds_count{method="GET",route="/render"}"#;
    assert_eq!(shop.counted(seconds).await, 1);
}

#[tokio::test]
async fn health_and_counters_are_not_for_visitors() {
    let (_database, shop) = shop().await;
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let request = headers
            .iter()
            .fold(http::Request::get(path), |request, (name, value)| request.header(*name, *value));
        shop.ask(request.body(Body::empty()).unwrap()).await
    };
    for path in ["/healthz", "/metrics"] {
        // A request that a proxy has forwarded comes from outside.
        for line in [("via", "1.1 lb"), ("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")] {
            let reply = ask(path, &[("host", "127.0.0.1:9001"), line]).await;
            assert_eq!(reply.error(), (404, "not_found".into()), "{path} {line:?}");
        }
        let from_a_page = ask(path, &[("host", "127.0.0.1:9001"), ("origin", "http://evil.example")]).await;
        assert_eq!(from_a_page.error(), (403, "not_allowed".into()), "{path}");
        for host in ["127.0.0.1:9001", "localhost:9001", "web-1:9001", "[::1]:9001"] {
            assert_eq!(ask(path, &[("host", host)]).await.status, StatusCode::OK, "{path} {host}");
        }
    }
    // The balancer's checks use the name that the balancer knows; metrics are shown under the server's own
    // names only.
    assert_eq!(ask("/healthz", &[("host", "web-1.example:9001")]).await.status, StatusCode::OK);
    assert_eq!(ask("/metrics", &[("host", "evil.example")]).await.error(), (403, "not_allowed".into()));
    // The shop itself is public.
    assert_eq!(ask("/render", &[("host", "shop.example"), ("via", "1.1 lb")]).await.status, StatusCode::OK);
}
