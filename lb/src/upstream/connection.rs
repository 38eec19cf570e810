//! A connection to an upstream.
//!
//! It has no task of its own: the task that waits for the response drives it. So one task handles a request and
//! its response, without a wake-up between two tasks; and when that task is dropped because the client has gone,
//! the connection is closed with it.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use machine::names::Name;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// An upstream that acknowledges nothing for this long counts as gone (`TCP_USER_TIMEOUT`). Otherwise a power cut
/// would leave connections that swallow requests for a quarter of an hour.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// A connection to an upstream.
#[derive(Debug)]
pub struct Connection {
    /// Its socket.
    pub stream: TcpStream,
    /// When it became idle.
    pub idle_since: Instant,
    /// The name and the address it was opened with; `None` if it was opened by an IP address.
    led: Option<(Name, SocketAddr)>,
    /// True if its last response announced a body that must not follow.
    pub was_denied_a_body: bool,
}

/// The state of an idle connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing has arrived, as it should be.
    Quiet,
    /// The upstream has closed it.
    Closed,
    /// Unsolicited bytes have arrived.
    Speaks,
}

impl Connection {
    /// Opens a connection. The error may be [`NameUnknown`](machine::names::NameUnknown).
    pub async fn open(way: &Name) -> io::Result<Self> {
        let (stream, address) = way.connect(TcpStream::connect).await?;
        stream.set_nodelay(true)?;
        give_up_when_unreachable(&stream)?;
        let led = (!way.is_address()).then(|| (way.clone(), address));
        Ok(Self { stream, idle_since: Instant::now(), led, was_denied_a_body: false })
    }

    /// True while the name that it was opened by still resolves to the same address. Otherwise it leads to another
    /// machine, which the health checks say nothing about.
    pub fn leads_to_its_upstream(&self) -> bool {
        self.led.as_ref().is_none_or(|(name, address)| name.current() == Some(*address))
    }

    /// Returns the state of an idle connection. Bytes that arrive while it is idle cannot be the response to the
    /// next request.
    pub fn waiting(&self) -> Waiting {
        let mut context = Context::from_waker(Waker::noop());
        if self.stream.poll_read_ready(&mut context).is_pending() {
            return Waiting::Quiet;
        }
        // It may only seem readable, if the last read filled its buffer exactly.
        match self.stream.try_read(&mut [0]) {
            Ok(0) => Waiting::Closed,
            Ok(_) => Waiting::Speaks,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Waiting::Quiet,
            Err(_) => Waiting::Closed,
        }
    }
}

fn give_up_when_unreachable(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(UNACKNOWLEDGED_MAX))
}
