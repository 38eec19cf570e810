use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::stream;
use http::{Method, Request, StatusCode};
use machine::Machine;
use machine::protocol::{FromMachine, ToMachine};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tower::ServiceExt;
use webserver::admission;

use crate::database::Database;
use crate::shop::{Reply, TestShop};
use crate::wait::{LIMIT, until};

#[tokio::test]
async fn too_many_requests_are_sent_away_and_health_checks_are_not() {
    let database = Database::start().await;
    database.hold_reads(true);
    let shop = TestShop::open(database.address, &["--max-in-flight", "1"]).await;
    let first = tokio::spawn({
        let shop = shop.clone();
        async move { shop.get("/products/1").await }
    });
    until("the first is in flight", async || database.reads() == 1).await;
    let second = shop.get("/render").await;
    assert_eq!(second.error(), (503, "overloaded".into()));
    assert_eq!(second.header("retry-after"), "1");
    assert_eq!(shop.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(shop.counted("webserver_shed_total").await, 1);
    assert_eq!(shop.counted("webserver_in_flight").await, 1);

    database.hold_reads(false);
    assert_eq!(first.await.unwrap().status, StatusCode::NOT_FOUND);
    assert_eq!(shop.get("/render").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_panic_costs_its_own_request_only() {
    async fn boom() -> &'static str {
        panic!("on purpose")
    }
    let database = Database::start().await;
    let shop = TestShop::open(database.address, &[]).await;
    let guarded = admission::guard(Router::new().route("/boom", get(boom)), &shop.shop)
        .with_state(Arc::clone(&shop.shop));
    for _ in 0..2 {
        let request = Request::get("/boom").body(Body::empty()).unwrap();
        let reply = Reply::read(guarded.clone().oneshot(request).await.unwrap()).await;
        assert_eq!(reply.error(), (500, "internal".into()));
    }
    assert_eq!(shop.counted("webserver_panics_total").await, 2);
    assert_eq!(shop.counted("webserver_in_flight").await, 0);
    assert_eq!(shop.get("/render").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let database = Database::start().await;
    let shop = TestShop::open(database.address, &["--body-timeout", "50ms"]).await;
    let body = Body::from_stream(stream::pending::<std::io::Result<Vec<u8>>>());
    let reply = shop.send(Method::PUT, "/products/1", Some("application/json"), body).await;
    assert_eq!(reply.error(), (408, "body_timeout".into()));
}

/// What a request costs on its machine, in order.
#[tokio::test]
async fn memory_is_held_before_anything_else_and_until_the_answer() {
    let (here, there) = UnixStream::pair().unwrap();
    let machine = Machine::over(here, |_| {});
    let database = Database::start().await;
    let flags = ["--request-memory", "2MiB", "--page-cost", "6ms", "--cache", "local"];
    let shop = TestShop::open_on(machine, database.address, &flags).await;
    let (reader, mut writer) = there.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut next = async || {
        let line = tokio::time::timeout(LIMIT, lines.next_line()).await.unwrap().unwrap().unwrap();
        serde_json::from_str::<ToMachine>(&line).unwrap()
    };

    // The second one is a cache hit; its page costs the same.
    for _ in 0..2 {
        let asking = tokio::spawn({
            let shop = shop.clone();
            async move { shop.get("/products/1").await }
        });
        assert_eq!(next().await, ToMachine::Hold { bytes: 2 * 1024 * 1024 });
        let ToMachine::Cpu { id, nanos } = next().await else { panic!("the page's CPU time comes next") };
        assert_eq!(Duration::from_nanos(nanos), Duration::from_millis(6));
        assert!(!asking.is_finished());
        let granted = serde_json::to_string(&FromMachine::Granted { id }).unwrap();
        writer.write_all(format!("{granted}\n").as_bytes()).await.unwrap();
        assert_eq!(asking.await.unwrap().status, StatusCode::NOT_FOUND);
        assert_eq!(next().await, ToMachine::Hold { bytes: -2 * 1024 * 1024 });
    }
}
