//! `--log-requests`: one line per request, to watch which server gets which request.

use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

/// Logs a request when its response begins. Its query and headers are left out, because they may contain
/// secrets.
pub(crate) async fn log(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = Instant::now();
    let answer = next.run(request).await;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    tracing::info!(%method, path, status = answer.status().as_u16(), took_ms = format!("{took:.1}"), "request");
    answer
}
