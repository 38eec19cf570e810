//! The connection pool for each node. The connection used last is used first, so that surplus ones
//! grow old and are closed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use machine::names::Name;
use machine::network::{Network, Stream};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

/// Shorter than a node's idle timeout (75 s), so that the client is the side that closes.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// A connection, checked out for one call.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) requests: SendRequest<Full<Bytes>>,
    node: SocketAddr,
    /// True if it has carried a call before: the node may have closed it since.
    pub(super) reused: bool,
}

/// Idle connections, the most recently used last.
#[derive(Debug)]
pub(super) struct Connections {
    /// Names that resolve to nodes, possibly to several addresses each.
    ways: Arc<[Name]>,
    network: Network,
    connect_limit: Duration,
    idle_max: usize,
    idle: Mutex<HashMap<SocketAddr, Vec<(Connection, Instant)>>>,
}

impl Connection {
    pub(super) fn node(&self) -> SocketAddr {
        self.node
    }
}

impl Connections {
    pub(super) fn new(ways: Arc<[Name]>, network: Network, connect_limit: Duration, idle_max: usize) -> Self {
        Self { ways, network, connect_limit, idle_max, idle: Mutex::default() }
    }

    /// Closes the idle connections to all other nodes, which have moved.
    pub(super) fn keep_only(&self, nodes: &[SocketAddr]) {
        self.idle.lock().retain(|node, _| nodes.contains(node));
    }

    /// Takes an idle connection, or opens a new one.
    pub(super) async fn get(&self, node: SocketAddr) -> std::io::Result<Connection> {
        while let Some(mut connection) = self.take_idle(node) {
            if connection.requests.ready().await.is_ok() {
                return Ok(connection);
            }
        }
        self.open(node).await
    }

    /// Opens a new connection.
    pub(super) async fn open(&self, node: SocketAddr) -> std::io::Result<Connection> {
        let (stream, node) = timeout(self.connect_limit, self.connect(node)).await??;
        let handshake = http1::Builder::new().writev(false).handshake(TokioIo::new(stream)).await;
        let (requests, connection) = handshake.map_err(std::io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, %node, "a connection to the database ended early");
            }
        });
        Ok(Connection { requests, node, reused: false })
    }

    /// Connects by name if one resolves to this node, because the name may have further addresses.
    async fn connect(&self, node: SocketAddr) -> std::io::Result<(Stream, SocketAddr)> {
        match self.ways.iter().find(|way| !way.is_address() && way.current() == Some(node)) {
            Some(way) => self.network.connect_to(way).await,
            None => Ok((self.network.connect(node).await?, node)),
        }
    }

    /// Returns a connection whose response was read to its end.
    pub(super) fn give_back(&self, mut connection: Connection) {
        if connection.requests.is_closed() {
            return;
        }
        connection.reused = true;
        let now = Instant::now();
        let mut idle = self.idle.lock();
        let idle = idle.entry(connection.node).or_default();
        if idle.first().is_some_and(|(_, since)| now.duration_since(*since) > IDLE_MAX) {
            idle.remove(0);
        }
        if idle.len() < self.idle_max {
            idle.push((connection, now));
        }
    }

    fn take_idle(&self, node: SocketAddr) -> Option<Connection> {
        let mut idle = self.idle.lock();
        let idle = idle.get_mut(&node)?;
        let (connection, since) = idle.pop()?;
        if since.elapsed() > IDLE_MAX {
            // The most recently used one is too old, so all of them are.
            idle.clear();
            return None;
        }
        Some(connection)
    }
}
