//! The accept loop of everything that speaks HTTP behind the balancer, with the limits and
//! timeouts a server needs that strangers can reach, and a drain that has an end.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::network::{Accept, Stream};

/// Bounds on what a server accepts and on how long it waits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at a time; more wait to be accepted.
    pub connections: usize,
    /// From a connection's first byte, or the end of its last answer, to the end of the next
    /// request's headers.
    pub header_timeout: Duration,
    /// Bytes of one request's headers.
    pub header_bytes: usize,
    /// From the stop to the moment the last connections are cut.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            header_timeout: Duration::from_secs(75),
            header_bytes: 64 * 1024,
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves a router until `stop`, then lets requests in flight finish, for as long as the limit allows.
pub async fn serve(listener: Box<dyn Accept>, app: Router, limits: Limits, stop: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| app.clone().oneshot(request.map(Body::new)));
    serve_service(listener, service, limits, stop).await;
}

/// Serves anything that answers requests; like [`serve`].
pub async fn serve_service<S, B>(
    listener: Box<dyn Accept>,
    service: S,
    limits: Limits,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Error: Into<Box<dyn Error + Send + Sync>>, Data: Send> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(limits.connections));
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&*listener, &room) => accepted,
        };
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: what is open goes on, and closing makes room.
                tracing::warn!(%error, "cannot accept a connection; trying again in 50 ms");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.header_bytes)
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service.clone());
        let connection = open.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    if timeout(limits.drain, open.shutdown()).await.is_err() {
        tracing::warn!(limit = ?limits.drain, "the drain took too long; cutting what is left");
    }
}

async fn accept(
    listener: &dyn Accept,
    room: &Arc<Semaphore>,
) -> io::Result<(Stream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.expect("the semaphore is never closed");
    let (stream, _peer) = listener.accept().await?;
    Ok((stream, permit))
}
