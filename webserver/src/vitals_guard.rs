//! `/healthz` and `/metrics` are for those who run the shop, not for its visitors.
//!
//! They are answered to whoever comes directly: the balancer's checks, Prometheus, somebody at a shell. What a
//! proxy passed on comes from outside; the balancer says so in lines that no client can take away.

#![deny(clippy::disallowed_methods)]

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, header};
use machine::serving::guard::{self, Guard, Refused};

use crate::error::Error;

/// What a proxy adds.
const OF_PROXIES: [HeaderName; 3] =
    [header::VIA, header::FORWARDED, HeaderName::from_static("x-forwarded-for")];

/// Lets a request through that came directly, and from no web page of somebody else. What is counted is only
/// shown under this server's address or name. Its health also under any other: a balancer's checks name the
/// server as the balancer knows it.
pub(crate) async fn only_directly(guard: Guard, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if OF_PROXIES.iter().any(|name| headers.contains_key(name)) {
        return Error::UnknownPath { path: request.uri().path().to_owned() }.into_response();
    }
    let allowed = match request.uri().path() {
        "/healthz" if guard::is_sent_by_another_page(request.method(), headers) => Err(Refused::Page),
        "/healthz" => Ok(()),
        _ => guard.check(request.method(), request.uri(), headers),
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(refused) => Error::NotAllowed(refused).into_response(),
    }
}
