//! From `host:port` to an address.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

/// A name server that is gone answers nothing.
const LIMIT: Duration = Duration::from_secs(5);

/// The first address of a node; nothing is looked up where an address is given.
pub(crate) async fn look_up(node: &str) -> io::Result<SocketAddr> {
    let mut found = timeout(LIMIT, lookup_host(node)).await??;
    found.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}
