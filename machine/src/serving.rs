//! The accept loop of everything that speaks HTTP behind the balancer, with the limits and
//! timeouts a server needs that strangers can reach, and a drain that has an end.
//!
//! What clients can keep a server waiting with is bounded: connections by the process's limit of open
//! files, each of a client's steps by a time, and the bodies that arrive at the same time by a number of
//! bytes. When there is no room for another connection, one leaves that keeps the server waiting.

/// Reading a request's body.
pub mod body;
/// Memory that many requests share.
pub mod budget;
/// One connection.
mod connection;
pub mod guard;
mod host;
/// Those for whom there is no room.
mod shed;
/// All connections.
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
    /// Connections open at a time; fewer when the process may not open enough files. When another one
    /// comes, one leaves that keeps the server waiting, or else it is told 503.
    pub connections: usize,
    /// Files that the process needs for other things than connections.
    pub files_reserved: u64,
    /// Files that each connection takes, with what is opened for its requests.
    pub files_per_connection: u64,
    /// From a connection's opening, or a later request's first byte, to the end of the request's headers.
    pub header_timeout: Duration,
    /// From the end of an answer to the first byte of the next request.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of its answer.
    pub write_timeout: Duration,
    /// Bytes of one request's headers.
    pub header_bytes: usize,
    /// Bytes of all bodies that are arriving.
    pub body_bytes: usize,
    /// From the stop to the moment the last connections are cut.
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

/// How long it is before the next try when the system has no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often that is said, at most.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// How long a connection may take to leave for another one.
const LEAVE_TIMEOUT: Duration = Duration::from_millis(100);

impl Limits {
    /// Connections, as far as this process may open files.
    fn connections_within(&self, files: u64) -> usize {
        let room = files.saturating_sub(self.files_reserved) / self.files_per_connection.max(1);
        // With hardly any files, a few connections all the same.
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
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static,
{
    let table = limits.table();
    let mut builder = http1::Builder::new();
    // No timer of its own: one look at all connections now and then costs less than a timer for each head.
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

/// Looks at the clients' clocks, for ever. A server without clients sleeps.
async fn sweep(table: &Table) {
    let mut ticks = interval(table.sweep_interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        table.occupied().await;
        ticks.tick().await;
        table.sweep();
    }
}

/// Lets connections in, for ever.
async fn accept(listener: &dyn Accept, table: &Arc<Table>, spawn: impl Fn(Place, Stream)) {
    let shedder = Shedder::new();
    let mut complained: Option<Instant> = None;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _peer)) => stream,
            // It was gone before it was let in.
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                // Out of file descriptors, mostly: what is open goes on, and closing makes room.
                table.make_room();
                if complained.is_none_or(|since| since.elapsed() > COMPLAINT_INTERVAL) {
                    complained = Some(Instant::now());
                    tracing::warn!(%error, "cannot accept connections; trying again and again");
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

/// The service, with each exchange noted in the connection, and what says not clearly for which host it is refused.
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
    // Whoever is not understood here may be understood otherwise by those in between.
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
