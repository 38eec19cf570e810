//! One connection to an upstream.
//!
//! It has no task of its own: whoever waits for its answer drives it. So a request and its answer
//! are one task's work, without a wake-up between two tasks; and when that task is dropped because
//! the client has gone, the connection is closed with it.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::upload::Upload;
use crate::watchdog::Watch;

/// An upstream that acknowledges nothing for this long is gone: without it, a power cut would
/// leave connections that swallow requests for a quarter of an hour.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// A connection to an upstream.
#[derive(Debug)]
pub struct Connection {
    sender: http1::SendRequest<Upload>,
    /// What reads and writes. None when the connection is over.
    driver: Option<http1::Connection<TokioIo<TcpStream>, Upload>>,
    /// Since when it has been waiting for its next request.
    pub idle_since: Instant,
}

/// Why a request got no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// Not a byte of it was sent: the connection had been closed. Here it is back.
    Unsent(Box<Request<Upload>>),
    /// The connection was closed before the answer was complete.
    Closed(hyper::Error),
    /// Something came that is no answer, or the request's body could not be sent.
    Broken(hyper::Error),
    /// Nothing moved for too long.
    TooLate,
}

impl Connection {
    /// Opens a connection. `buffer_bytes` is also the limit of an answer's head.
    pub async fn open(address: &str, buffer_bytes: usize) -> io::Result<Box<Self>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        give_up_when_unreachable(&stream)?;
        let handshake = http1::Builder::new()
            .writev(false)
            .max_buf_size(buffer_bytes)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, driver) = handshake.map_err(io::Error::other)?;
        Ok(Box::new(Self { sender, driver: Some(driver), idle_since: Instant::now() }))
    }

    /// Sends a request, and drives the connection until the head of the answer is there.
    pub async fn send(
        &mut self,
        request: Request<Upload>,
        watch: &Watch,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let mut response = pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|context| {
            drive(&mut self.driver, context);
            if let Poll::Ready(result) = response.as_mut().poll(context) {
                return Poll::Ready(result.map_err(NoAnswer::from));
            }
            if watch.is_expired() { Poll::Ready(Err(NoAnswer::TooLate)) } else { Poll::Pending }
        })
        .await
    }

    /// Reads and writes what can be read and written now.
    pub fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.driver, context);
    }

    /// True when the last answer is complete and another request may be sent.
    pub fn is_reusable(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }
}

impl From<TrySendError<Request<Upload>>> for NoAnswer {
    fn from(mut error: TrySendError<Request<Upload>>) -> Self {
        if let Some(request) = error.take_message() {
            return Self::Unsent(Box::new(request));
        }
        let error = error.into_error();
        if error.is_parse() || error.is_user() { Self::Broken(error) } else { Self::Closed(error) }
    }
}

fn drive(driver: &mut Option<http1::Connection<TokioIo<TcpStream>, Upload>>, context: &mut Context<'_>) {
    // Its result is of no interest: whoever waits for an answer is told separately. It must be
    // dropped when it is over: only then does a request that was not sent come back.
    if driver.as_mut().is_some_and(|driver| Pin::new(driver).poll(context).is_ready()) {
        *driver = None;
    }
}

fn give_up_when_unreachable(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(UNACKNOWLEDGED_MAX))
}
