//! The network abstraction, chosen once, in `main` or in a test: real sockets here, a simulated network
//! in a simulation.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::names::{Name, Resolver};

/// A two-way connection.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A connection over the chosen network.
pub type Stream = Box<dyn Connection>;

/// Accepts connections on an address.
pub trait Accept: Send + Sync {
    /// Waits for the next connection, and returns it with its peer's address.
    fn accept(&self) -> BoxFuture<'_, io::Result<(Stream, SocketAddr)>>;
    /// The bound address, with the port that the system chose if port 0 was given.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// Opens and accepts connections.
pub trait Connect: Send + Sync {
    /// Listens on an address.
    fn bind(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Accept>>>;
    /// Connects to an address.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Stream>>;
}

/// The network a server was given. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    connect: Arc<dyn Connect>,
    names: Resolver,
}

impl Network {
    /// The operating system's TCP.
    pub fn tcp() -> Self {
        Self::new(Tcp)
    }

    /// Uses another network, such as a simulation.
    pub fn new(network: impl Connect + 'static) -> Self {
        Self { connect: Arc::new(network), names: Resolver::system() }
    }

    /// Sets the resolver.
    #[must_use]
    pub fn with_names(self, names: Resolver) -> Self {
        Self { names, ..self }
    }

    /// Returns the name for a `HOST:PORT`: see [`Resolver::name`].
    pub fn name(&self, text: &str) -> Name {
        self.names.name(text)
    }

    /// Listens on an address.
    pub async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Accept>> {
        self.connect.bind(address).await
    }

    /// Connects to an address.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        self.connect.connect(address).await
    }

    /// Connects to one of a name's addresses, and returns which: see [`Name::connect`].
    pub async fn connect_to(&self, name: &Name) -> io::Result<(Stream, SocketAddr)> {
        name.connect(|address| self.connect.connect(address)).await
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Network")
    }
}

/// Length of the accept queue; the system may have a lower limit. If the queue is full, the first packet
/// of a new connection is dropped, and is resent only after a second.
const BACKLOG: u32 = 4096;

struct Tcp;

impl Connect for Tcp {
    fn bind(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Accept>>> {
        Box::pin(async move {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // A restarted program need not wait for the previous one's connections in TIME_WAIT.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(Box::new(socket.listen(BACKLOG)?) as Box<dyn Accept>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Stream)
        })
    }
}

impl Accept for TcpListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Stream, SocketAddr)>> {
        Box::pin(async move {
            let (stream, peer) = self.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Stream, peer))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}
