//! The routes.

use std::future::ready;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::middleware::{from_fn, map_response};
use axum::response::Response;
use axum::routing::{get, post};
use machine::serving::guard::Guard;
use machine::vitals::Vitals;

use crate::access_log;
use crate::admission;
use crate::error::Error;
use crate::routes::{accounts, cart, home, products, render, session};
use crate::state::Shop;
use crate::vitals_guard::only_directly;

/// The name of the server that answered.
const X_WEB: HeaderName = HeaderName::from_static("x-web");

/// The whole shop as one service.
///
/// `/healthz` and `/metrics` are outside the shop: they are cheap, are never shed, and do not depend
/// on the database or on Redis. A shop whose database is down is still alive; if its health check
/// failed because of that, the balancer would take every shop out at once. Visitors do not see these
/// two routes.
pub fn app(shop: Arc<Shop>, vitals: &Arc<Vitals>) -> Router {
    let guard = Guard::named([shop.config.name.clone()]).or_any_plain_name();
    let only_directly = from_fn(move |request, next| only_directly(guard.clone(), request, next));
    let beside = vitals.routes().method_not_allowed_fallback(wrong_method).layer(only_directly);
    // For balancers that do not tell the client which server answered.
    let name = HeaderValue::from_str(&shop.config.name).ok();
    let named = map_response(move |mut answer: Response| {
        if let Some(name) = name.clone() {
            answer.headers_mut().insert(X_WEB, name);
        }
        ready(answer)
    });
    let logs_requests = shop.config.log_requests;
    let visited = admission::guard(routes(), &shop).with_state(shop).layer(named);
    // Only visitors' requests are logged; health checks and scrapes would drown them.
    let visited = if logs_requests { visited.layer(from_fn(access_log::log)) } else { visited };
    visited.merge(beside)
}

fn routes() -> Router<Arc<Shop>> {
    Router::new()
        .route("/products/{id}", get(products::read).put(products::write))
        .route("/login", post(session::login))
        .route("/me", get(session::me))
        .route("/logout", post(session::logout))
        .route("/cart", get(cart::read))
        .route("/cart/items", post(cart::add))
        .route("/accounts/{id}", get(accounts::read))
        .route("/accounts/{id}/deposit", post(accounts::deposit))
        .route("/render", get(render::render))
        .route("/", get(home::home))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
}

async fn unknown_path(uri: Uri) -> Error {
    Error::UnknownPath { path: uri.path().to_owned() }
}

async fn wrong_method() -> Error {
    Error::WrongMethod
}
