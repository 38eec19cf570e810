use std::sync::LazyLock;

use axum::body::Body;
use http::{Method, Request, Uri};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::database::Database;
use crate::shop::{Reply, TestShop};

/// One shop for all cases, on a runtime that outlives them.
static SHOP: LazyLock<(Runtime, TestShop, Database)> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let (shop, database) = runtime.block_on(async {
        let database = Database::start().await;
        (TestShop::open(database.address, &["--cache", "local"]).await, database)
    });
    (runtime, shop, database)
});

fn ask(request: Request<Body>) -> Reply {
    let (runtime, shop, _) = &*SHOP;
    runtime.block_on(shop.ask(request))
}

/// True for a well-formed response that is a success or a client error.
fn is_defined(reply: &Reply) -> bool {
    match reply.status.as_u16() {
        200 => true,
        400 | 404 | 405 | 413 | 415 => reply.json()["error"].is_string(),
        _ => false,
    }
}

/// Percent-encodes arbitrary bytes, as a client must write them into a path.
fn encoded(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_as_an_id_are_answered(id in vec(any::<u8>(), 0..100), put in any::<bool>()) {
        let method = if put { Method::PUT } else { Method::GET };
        let path = format!("/products/{}", encoded(&id));
        let reply = ask(Request::builder().method(method).uri(path).body(Body::empty()).unwrap());
        prop_assert!(is_defined(&reply), "{reply:?}");
    }

    #[test]
    fn any_path_and_method_are_answered(path in "/[ -~]{0,60}", method in "[A-Z]{1,10}") {
        let Ok(uri) = path.parse::<Uri>() else { return Ok(()) };
        let request = Request::builder().method(&*method).uri(uri).body(Body::empty()).unwrap();
        let reply = ask(request);
        // A response to HEAD has no body to check.
        prop_assert!(method == "HEAD" || is_defined(&reply), "{reply:?}");
    }

    #[test]
    fn any_bytes_as_a_product_are_answered(body in vec(any::<u8>(), 0..400)) {
        let reply = ask(product(body));
        prop_assert!(is_defined(&reply), "{reply:?}");
    }

    #[test]
    fn anything_that_looks_like_a_product_is_answered(
        body in r#"\{"name":("[a-z\\"]{0,5}"|[0-9]{1,3}|null),"price":-?[0-9]{1,22}(\.5|e9)?(,"[a-z]{1,3}":[\[{"0-9nulltrue]{0,9})?\}"#,
    ) {
        let reply = ask(product(body.into_bytes()));
        prop_assert!(is_defined(&reply), "{reply:?}");
    }
}

fn product(body: Vec<u8>) -> Request<Body> {
    let request = Request::put("/products/1").header("content-type", "application/json");
    request.body(Body::from(body)).unwrap()
}
