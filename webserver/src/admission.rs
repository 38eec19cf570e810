//! What happens to every request before its handler: it is counted, shed if there are too many, and
//! given its memory; and if the handler panics, only this request fails.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use machine::trace::{self, Span};
use tower_http::catch_panic::CatchPanicLayer;

use crate::error::Error;
use crate::metrics::Metrics;
use crate::state::Shop;

/// Wraps these routes in admission control.
pub fn guard(routes: Router<Arc<Shop>>, shop: &Arc<Shop>) -> Router<Arc<Shop>> {
    let metrics = shop.metrics.clone();
    routes
        .layer(CatchPanicLayer::custom(move |panic| after_panic(&metrics, panic)))
        // The layer added last runs first.
        .layer(from_fn_with_state(Arc::clone(shop), admit))
}

/// Holds the request's memory until the response is handed over: a queue of waiting requests can
/// fill the machine's memory, however small the requests are.
async fn admit(State(shop): State<Arc<Shop>>, request: Request, next: Next) -> Response {
    let mut tally = shop.metrics.request_began(&request);
    let traceparent = request.headers().get(trace::TRACEPARENT).map(HeaderValue::as_bytes);
    let mut span = Span::of_request(traceparent, || format!("{} {}", request.method(), request.uri().path()));
    let answer = if shop.config.in_flight_max.is_some_and(|max| tally.others_in_flight() >= max) {
        shop.metrics.shed.inc();
        Error::Overloaded.into_response()
    } else {
        let _held = shop.machine.hold(shop.config.costs.request_memory);
        trace::within(span.as_ref(), next.run(request)).await
    };
    if let Some(span) = &mut span {
        tally.is_traced(span);
        span.say("status", answer.status().as_u16());
    }
    tally.answered(answer.status());
    answer
}

/// Answers a request whose handler panicked. The panic's message was already logged where it
/// happened.
fn after_panic(metrics: &Metrics, _panic: Box<dyn Any + Send>) -> Response {
    metrics.panics.inc();
    Error::Bug.into_response()
}
