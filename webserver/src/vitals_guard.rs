//! Access control for `/healthz` and `/metrics`: they are for the operator, not for visitors.
//!
//! Only direct requests are answered: health checks of the balancer, Prometheus, a shell. A request that a
//! proxy has forwarded comes from outside, and the balancer marks it with fields that no client can remove.

#![deny(clippy::disallowed_methods)]

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, header};
use machine::serving::guard::{self, Guard, Refused};

use crate::error::Error;

/// The fields that a proxy adds.
const OF_PROXIES: [HeaderName; 3] =
    [header::VIA, header::FORWARDED, HeaderName::from_static("x-forwarded-for")];

/// Lets a request through that came directly, and not from a web page of another origin. Metrics are shown
/// only under this server's own address or name. Health is shown under any name, because a balancer's checks
/// use the name that the balancer knows.
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
