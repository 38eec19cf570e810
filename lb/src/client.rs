//! One client's connection, from accept to close.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::HeaderValue;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::forward::forward;
use crate::refusal::Refusal;
use crate::upload::UploadFault;
use crate::watchdog::{Phase, Watch};
use crate::worker::Worker;

/// How long a client may take to read an answer that it gets before it has sent all of its
/// request, and how much of the rest is thrown away meanwhile.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 4 * 1024 * 1024;

/// A head's buffer that has grown beyond this is given back after the request.
const HEAD_BYTES_KEPT: usize = 4 * 1024;

/// What belongs to one client's connection.
#[derive(Debug)]
pub struct Client {
    /// The thread it is served by.
    pub worker: Rc<Worker>,
    /// What it is doing, and for how long it may.
    pub watch: Rc<Watch>,
    /// Its address, as requests carry it in `X-Forwarded-For`.
    pub forwarded_for: HeaderValue,
    /// What was wrong with the body of the present request.
    pub upload_fault: Cell<Option<UploadFault>>,
    /// Set when a request was answered before it had been read to its end.
    pub left_unread: Cell<bool>,
    /// The present request's head as it came in, perhaps with the begin of its body. When requests
    /// are pipelined it may be incomplete.
    raw_head: RefCell<Vec<u8>>,
}

/// How serving a connection ended.
enum End {
    /// One side has closed it, or it is to be closed.
    Closed,
    /// The client did not send a request in time.
    TooSlow,
    /// There are bytes of a request that nobody will read.
    Unread,
}

/// Serves a connection until one side closes it.
pub async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let client = Client::new(worker, peer);
    let (stream, end) = serve_requests(&client, stream).await;
    let lingering = match end {
        End::Closed => return,
        End::TooSlow => timeout(LINGER, refuse_and_linger(stream)).await,
        End::Unread => timeout(LINGER, linger(stream)).await,
    };
    if let Ok(Err(error)) = lingering {
        tracing::debug!(%error, %peer, "a client closed before the end");
    }
}

async fn serve_requests(client: &Rc<Client>, stream: TcpStream) -> (TcpStream, End) {
    let io = TokioIo::new(Wiretap { stream, client: Rc::clone(client) });
    let service = service_fn(|request| forward(Rc::clone(client), request));
    let mut connection = client.worker.http.serve_connection(io, service);
    let mut leaving = false;
    let end = std::future::poll_fn(|context| {
        client.watch.remember(context.waker());
        if client.watch.is_leaving() && !std::mem::replace(&mut leaving, true) {
            Pin::new(&mut connection).graceful_shutdown();
        }
        if client.watch.is_cut() {
            return Poll::Ready(End::Closed);
        }
        if client.watch.is_expired() {
            match client.watch.phase() {
                Phase::Head if !client.raw_head.borrow().is_empty() => return Poll::Ready(End::TooSlow),
                Phase::Head | Phase::Idle | Phase::Download => return Poll::Ready(End::Closed),
                // Whoever forwards the request answers for it.
                Phase::Upload | Phase::Waiting => {}
            }
        }
        let end = match ready!(Pin::new(&mut connection).poll(context)) {
            Ok(()) if client.left_unread.get() => End::Unread,
            Ok(()) => End::Closed,
            Err(error) => {
                tracing::debug!(%error, "a client's connection ended early");
                if error.is_parse() { End::Unread } else { End::Closed }
            }
        };
        Poll::Ready(end)
    })
    .await;
    (connection.into_parts().io.into_inner().stream, end)
}

async fn refuse_and_linger(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(&Refusal::ClientTooSlow.raw_answer()).await?;
    linger(stream).await
}

/// Closing a socket with unread bytes resets the connection, and the client may lose the answer
/// that is on its way. So the rest is read and thrown away until the client closes, within limits.
async fn linger(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

impl Client {
    fn new(worker: Rc<Worker>, peer: SocketAddr) -> Rc<Self> {
        let address = peer.ip().to_canonical().to_string();
        Rc::new(Self {
            watch: worker.watchdog.watch(),
            forwarded_for: HeaderValue::from_str(&address).expect("an IP address is a valid value"),
            upload_fault: Cell::new(None),
            left_unread: Cell::new(false),
            raw_head: RefCell::new(Vec::with_capacity(512)),
            worker,
        })
    }

    /// Takes the present request's head as it came in to have it looked at.
    pub fn look_at_raw_head<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        let mut head = self.raw_head.borrow_mut();
        let seen = look(&head);
        head.clear();
        head.shrink_to(HEAD_BYTES_KEPT);
        seen
    }

    fn heard(&self, bytes: &[u8]) {
        if self.watch.phase() == Phase::Idle && !bytes.is_empty() {
            self.watch.enter(Phase::Head);
        }
        if self.watch.phase() == Phase::Head {
            let mut head = self.raw_head.borrow_mut();
            let room = (2 * self.worker.config.limits.header_bytes).saturating_sub(head.len());
            head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn said(&self) {
        if let phase @ (Phase::Download | Phase::Idle) = self.watch.phase() {
            self.watch.enter(phase);
        }
    }
}

/// A client's socket, with somebody who listens: the watchdog learns that something moves, and the
/// raw head of a request is kept for a closer look.
struct Wiretap {
    stream: TcpStream,
    client: Rc<Client>,
}

impl AsyncRead for Wiretap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.client.heard(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wiretap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.client.said();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
