//! What every request goes through before its handler: it is counted, shed when there are too many,
//! given its memory, and should its handler panic, only this request suffers.

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

/// These routes, guarded.
pub fn guard(routes: Router<Arc<Shop>>, shop: &Arc<Shop>) -> Router<Arc<Shop>> {
    let metrics = shop.metrics.clone();
    routes
        .layer(CatchPanicLayer::custom(move |panic| after_panic(&metrics, panic)))
        // The last one added is the first one met.
        .layer(from_fn_with_state(Arc::clone(shop), admit))
}

/// Memory is held from here until the answer is handed over: a queue of waiting requests fills the
/// machine's memory, however small the requests are.
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

/// The panic's message has been logged where it happened.
fn after_panic(metrics: &Metrics, _panic: Box<dyn Any + Send>) -> Response {
    metrics.panics.inc();
    Error::Bug.into_response()
}
