//! The open connections to each node. The one used last is used first, so that those not needed
//! grow old and are let go.

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

/// Shorter than the patience of a node with a silent connection (75 s), so that it is this side
/// that hangs up.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// One connection, as long as one call uses it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) requests: SendRequest<Full<Bytes>>,
    node: SocketAddr,
    /// It has carried a call before: the node may have hung up without our knowing.
    pub(super) reused: bool,
}

/// Connections waiting for their next call, the freshest last.
#[derive(Debug)]
pub(super) struct Connections {
    /// Names that lead to nodes, also by other addresses than the one in use.
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

    /// Closes the idle ones to all other nodes: those have moved.
    pub(super) fn keep_only(&self, nodes: &[SocketAddr]) {
        self.idle.lock().retain(|node, _| nodes.contains(node));
    }

    /// A connection that was open already, or a new one.
    pub(super) async fn get(&self, node: SocketAddr) -> std::io::Result<Connection> {
        while let Some(mut connection) = self.take_idle(node) {
            if connection.requests.ready().await.is_ok() {
                return Ok(connection);
            }
        }
        self.open(node).await
    }

    /// A new connection.
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

    /// By the name that leads to a node, if there is one: it may have more addresses.
    async fn connect(&self, node: SocketAddr) -> std::io::Result<(Stream, SocketAddr)> {
        match self.ways.iter().find(|way| !way.is_address() && way.current() == Some(node)) {
            Some(way) => self.network.connect_to(way).await,
            None => Ok((self.network.connect(node).await?, node)),
        }
    }

    /// Keeps a connection whose answer was read to its end.
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
            // The freshest is too old, so all of them are.
            idle.clear();
            return None;
        }
        Some(connection)
    }
}
