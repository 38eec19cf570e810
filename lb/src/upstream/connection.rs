//! One connection to an upstream.
//!
//! It has no task of its own: whoever waits for its answer drives it. So a request and its answer
//! are one task's work, without a wake-up between two tasks; and when that task is dropped because
//! the client has gone, the connection is closed with it.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use machine::names::Name;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// An upstream that acknowledges nothing for this long is gone: without it, a power cut would
/// leave connections that swallow requests for a quarter of an hour.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// A connection to an upstream.
#[derive(Debug)]
pub struct Connection {
    /// Its socket.
    pub stream: TcpStream,
    /// Since when it has been waiting for its next request.
    pub idle_since: Instant,
    /// The name it was opened by, and where that led; none when it was opened by an address.
    led: Option<(Name, SocketAddr)>,
    /// True when its last answer spoke of a body that must not follow.
    pub was_denied_a_body: bool,
}

/// What a connection does while no request is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing, as it should.
    Quiet,
    /// The other side has closed it.
    Closed,
    /// Something has come that nobody asked for.
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

    /// True while the name that it was opened by leads there: another machine's answers are not wanted, and checks
    /// say nothing about it.
    pub fn leads_to_its_upstream(&self) -> bool {
        self.led.as_ref().is_none_or(|(name, address)| name.current() == Some(*address))
    }

    /// What it does while it waits. Nothing is to come then: what comes is no answer to the next
    /// request.
    pub fn waiting(&self) -> Waiting {
        let mut context = Context::from_waker(Waker::noop());
        if self.stream.poll_read_ready(&mut context).is_pending() {
            return Waiting::Quiet;
        }
        // It may only seem so, when the last read filled its buffer to the brim.
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
