//! `--log-requests`: one line for each request, for whoever wants to see which server is asked.

use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

/// Logs a request when its answer begins. Neither its query nor its headers are logged: they may be secret.
pub(crate) async fn log(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = Instant::now();
    let answer = next.run(request).await;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    tracing::info!(%method, path, status = answer.status().as_u16(), took_ms = format!("{took:.1}"), "request");
    answer
}
