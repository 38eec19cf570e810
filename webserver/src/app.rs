//! Which path leads where.

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

/// The server that answers, by its own name.
const X_WEB: HeaderName = HeaderName::from_static("x-web");

/// The whole shop as one service.
///
/// `/healthz` and `/metrics` stand beside the shop, not in it: they cost nothing, are never shed, and
/// know nothing of the database, nor of Redis. A shop whose database is down is alive, and leaving
/// the balancer for that would take every shop out at once. Nor do visitors see them.
pub fn app(shop: Arc<Shop>, vitals: &Arc<Vitals>) -> Router {
    let guard = Guard::named([shop.config.name.clone()]).or_any_plain_name();
    let only_directly = from_fn(move |request, next| only_directly(guard.clone(), request, next));
    let beside = vitals.routes().method_not_allowed_fallback(wrong_method).layer(only_directly);
    // For balancers that cannot say whose an answer is.
    let name = HeaderValue::from_str(&shop.config.name).ok();
    let named = map_response(move |mut answer: Response| {
        if let Some(name) = name.clone() {
            answer.headers_mut().insert(X_WEB, name);
        }
        ready(answer)
    });
    let logs_requests = shop.config.log_requests;
    let visited = admission::guard(routes(), &shop).with_state(shop).layer(named);
    // Checks and metrics would drown what visitors ask for.
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
