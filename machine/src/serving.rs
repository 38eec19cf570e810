//! The HTTP accept loop of all servers behind the balancer, with the limits and timeouts that a publicly reachable
//! server needs, and a bounded drain.
//!
//! Everything that a client can make the server wait for is bounded: connections by the process's limit of open
//! files, each step of a client by a timeout, and the request bodies that arrive at the same time by a number of
//! bytes. If there is no room for another connection, one that keeps the server waiting is closed.

/// Reads a request's body.
pub mod body;
/// Memory that many requests share.
pub mod budget;
/// A single connection.
mod connection;
pub mod guard;
mod host;
/// Load shedding: answers connections for which there is no room.
mod shed;
/// The table of all connections.
mod table;
pub mod timeouts;

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::network::{Accept, Stream};
use crate::startup;
pub use connection::Connection;
use connection::{Content, TrackedBody};
use shed::Shedder;
use table::{Place, Table};
use timeouts::Timeouts;

/// Bounds on what a server accepts and on how long it waits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections that may be open at a time; fewer if the process may not open enough files. If another one
    /// arrives, one that keeps the server waiting is closed for it, or else it gets 503.
    pub connections: usize,
    /// Files that the process needs for purposes other than connections.
    pub files_reserved: u64,
    /// Files per connection, including those opened for its requests.
    pub files_per_connection: u64,
    /// Time from the opening of a connection, or a later request's first byte, to the end of the request's headers.
    pub header_timeout: Duration,
    /// Time from the end of a response to the first byte of the next request.
    pub idle_timeout: Duration,
    /// How long a client may accept none of its response.
    pub write_timeout: Duration,
    /// Largest headers of one request, in bytes.
    pub header_bytes: usize,
    /// Memory for all request bodies that are arriving, in bytes.
    pub body_bytes: usize,
    /// How long connections may take to finish after the stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            files_reserved: 64,
            files_per_connection: 1,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(10),
            header_bytes: 64 * 1024,
            body_bytes: 48 << 20,
            drain: Duration::from_secs(10),
        }
    }
}

/// The pause before the next attempt if the system has no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The shortest time between two log lines about that.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// How long a connection that is asked to make room may take to close.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(100);

impl Limits {
    /// Returns how many connections the limit of open files allows.
    fn connections_within(&self, files: u64) -> usize {
        let room = files.saturating_sub(self.files_reserved) / self.files_per_connection.max(1);
        // With very few files, still allow a few connections.
        let room = usize::try_from(room.max(files / 8)).unwrap_or(usize::MAX).max(1);
        self.connections.min(room)
    }

    fn table(&self) -> Arc<Table> {
        let files = startup::file_limit();
        let connections = self.connections_within(files);
        if connections < self.connections {
            tracing::warn!(files, connections, "this process may not open files for more connections");
        }
        let timeouts =
            Timeouts { header: self.header_timeout, idle: self.idle_timeout, write: self.write_timeout };
        Table::new(timeouts, connections, self.body_bytes)
    }
}

/// Serves a router until `stop`; then drains: requests in flight may finish within the limit.
pub async fn serve(listener: Box<dyn Accept>, app: Router, limits: Limits, stop: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| app.clone().oneshot(request.map(Body::new)));
    serve_service(listener, service, limits, stop).await;
}

/// Serves any service that answers requests; like [`serve`].
pub async fn serve_service<S, B>(
    listener: Box<dyn Accept>,
    service: S,
    limits: Limits,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static,
{
    let table = limits.table();
    let mut builder = http1::Builder::new();
    // No timer per head: an occasional sweep over all connections is cheaper.
    builder.header_read_timeout(None).max_buf_size(limits.header_bytes).half_close(true);
    let spawn = |place: Place, stream: Stream| {
        let (service, builder) = (service.clone(), builder.clone());
        tokio::spawn(async move {
            let tracked = tracked(service, Arc::clone(&place));
            connection::drive(Arc::clone(&place), &builder, stream, tracked).await;
            drop(place);
        });
    };
    let sweeping = sweep(&table);
    tokio::pin!(sweeping);
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = &mut sweeping => {}
        () = accept(&*listener, &table, spawn) => {}
    }
    drop(listener);
    table.finish();
    tokio::select! {
        drained = timeout(limits.drain, table.empty()) => if drained.is_err() {
            tracing::warn!(limit = ?limits.drain, "the drain took too long; cutting what is left");
            table.cut();
        },
        () = &mut sweeping => {}
    }
}

/// Checks the clients' deadlines, for ever. Without clients it sleeps.
async fn sweep(table: &Table) {
    let mut ticks = interval(table.sweep_interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        table.occupied().await;
        ticks.tick().await;
        table.sweep();
    }
}

/// Accepts connections, for ever.
async fn accept(listener: &dyn Accept, table: &Arc<Table>, spawn: impl Fn(Place, Stream)) {
    let shedder = Shedder::new();
    let mut complained: Option<Instant> = None;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _peer)) => stream,
            // The connection was gone before it was accepted.
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                // Usually out of file descriptors: open connections go on, and each one that closes makes room.
                table.make_room();
                if complained.is_none_or(|since| since.elapsed() > COMPLAINT_INTERVAL) {
                    complained = Some(Instant::now());
                    tracing::warn!(%error, "cannot accept connections; will keep trying");
                }
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Some(place) = table.admit() {
            spawn(place, stream);
            continue;
        }
        if table.make_room() > 0
            && let Ok(place) = timeout(LEAVE_TIMEOUT, table.admit_when_there_is_room()).await
        {
            spawn(place, stream);
            continue;
        }
        shedder.shed(stream);
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Wraps the service: tracks each exchange in its connection, and rejects a request without an unambiguous host.
fn tracked<S, B>(
    service: S,
    connection: Arc<Connection>,
) -> impl Service<Request<Incoming>, Response = Response<TrackedBody<B>>, Error = Infallible, Future: Send>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Unpin + Send + 'static,
{
    service_fn(move |mut request: Request<Incoming>| {
        connection.request_begins();
        let connection = Arc::clone(&connection);
        let answering = host::check(request.version(), request.headers()).map(|()| {
            request.extensions_mut().insert(Arc::clone(&connection));
            service.call(request)
        });
        async move {
            let answer = match answering {
                Ok(answering) => answering.await?.map(Content::Served),
                Err(detail) => bad_host(detail),
            };
            Ok(answer.map(|content| TrackedBody::new(content, connection)))
        }
    })
}

fn bad_host<B>(detail: &str) -> Response<Content<B>> {
    let text = format!("{{\"error\":\"bad_host\",\"detail\":\"{detail}\"}}\n");
    let mut answer = Response::new(Content::Said(Some(text.into())));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // An ambiguous request may be understood differently by intermediaries.
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_other_things() {
        let limits = Limits { connections: 1_000, files_reserved: 100, ..Limits::default() };
        for (files, connections) in [(u64::MAX, 1_000), (1_024, 924), (128, 28), (100, 12), (8, 1), (0, 1)] {
            assert_eq!(limits.connections_within(files), connections, "{files}");
        }
        let limits = Limits { files_per_connection: 2, ..limits };
        assert_eq!(limits.connections_within(1_024), 462);
    }
}
