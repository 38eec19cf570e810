//! The connection pool of one stream, like a browser's: a connection is opened when none is idle, the last
//! used is reused first, and one that has been idle for long is dropped.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::Outcome;

/// Connections to one target.
#[derive(Debug)]
pub(super) struct Connections {
    target: SocketAddr,
    connect_timeout: Duration,
    /// In the order they became idle.
    idle: Mutex<Vec<Idle>>,
}

/// One open connection. Dropping it closes it, together with anything in flight on it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) requests: SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Connections {
    /// The idle timeout of a connection.
    const IDLE: Duration = Duration::from_secs(4);

    /// How long a connection may take to become ready after an answer was read to its end: it only has to be
    /// polled once more.
    const READY: Duration = Duration::from_secs(1);

    pub(super) fn new(target: SocketAddr, connect_timeout: Duration) -> Self {
        Self { target, connect_timeout, idle: Mutex::default() }
    }

    /// An empty pool for another target.
    pub(super) fn aimed_at(&self, target: SocketAddr) -> Self {
        Self::new(target, self.connect_timeout)
    }

    /// The connection that became idle last and is still open.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock();
        let old = idle.partition_point(|idle| idle.since.elapsed() > Self::IDLE);
        idle.drain(..old);
        std::iter::from_fn(|| idle.pop()).map(|idle| idle.connection).find(Connection::is_open)
    }

    pub(super) async fn open(&self) -> Result<Connection, Outcome> {
        let stream = timeout(self.connect_timeout, TcpStream::connect(self.target)).await;
        let stream = stream.map_err(|_| Outcome::ConnectTimeout)?;
        let stream = stream.map_err(|error| Outcome::of_connect_error(&error))?;
        stream.set_nodelay(true).map_err(|error| Outcome::of_connect_error(&error))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (requests, driver) = handshake.map_err(|error| Outcome::of_exchange_error(&error))?;
        let driver = tokio::spawn(async move {
            // An error is reported to the request in flight.
            let _ = driver.await;
        });
        Ok(Connection { requests, _driver: AbortOnDropHandle::new(driver) })
    }

    /// Keeps a connection for later, if it can be used again.
    pub(super) async fn park(&self, mut connection: Connection) {
        if let Ok(Ok(())) = timeout(Self::READY, connection.requests.ready()).await {
            self.idle.lock().push(Idle { connection, since: Instant::now() });
        }
    }
}

impl Connection {
    fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }
}
