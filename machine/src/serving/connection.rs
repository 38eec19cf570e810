//! A single connection: its state, and the orders that end it.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use hyper::server::conn::http1;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::table::Table;
use super::timeouts::{Blocked, Phase, View};
use crate::network::Stream;

/// The shared state of a connection. The fields that change with each request are updated by single atomic
/// stores.
#[derive(Debug)]
pub struct Connection {
    table: Arc<Table>,
    /// The phase and its start: see [`pack`].
    phase: AtomicU64,
    /// When its client began to lag behind the response, in milliseconds; 0 if it does not.
    blocked_since: AtomicU64,
    /// When the client last accepted bytes while lagging, in milliseconds.
    progress: AtomicU64,
    /// Bytes that the client has accepted since it began to lag.
    taken: AtomicU64,
    /// An [`Order`] that has not been handled yet.
    order: AtomicU8,
    /// Wakes the connection's task to handle the order.
    task: AtomicWaker,
}

/// An order to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Order {
    /// No order.
    None,
    /// Check whether the client is overdue, and end if it is.
    LookAtTheClock,
    /// Accept no further request.
    Finish,
    /// Make room: end, unless a request is being answered.
    MakeRoom,
    /// End.
    Cut,
}

const ORDERS: [Order; 5] = [Order::None, Order::LookAtTheClock, Order::Finish, Order::MakeRoom, Order::Cut];

const PHASES: [Phase; 5] = [Phase::New, Phase::Head, Phase::Working, Phase::Body, Phase::Idle];

/// Packs a phase into the lowest three bits and its start, in milliseconds, into the others.
fn pack(phase: Phase, ms: u64) -> u64 {
    let number = PHASES.iter().position(|other| *other == phase).expect("all phases are listed");
    ms << 3 | number as u64
}

fn unpack(packed: u64) -> (Phase, Duration) {
    (PHASES[(packed & 7) as usize], Duration::from_millis(packed >> 3))
}

impl Connection {
    pub(super) fn new(table: Arc<Table>) -> Self {
        let phase = AtomicU64::new(pack(Phase::New, table.now_ms()));
        Self {
            table,
            phase,
            blocked_since: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            order: AtomicU8::new(Order::None as u8),
            task: AtomicWaker::new(),
        }
    }

    /// The table that it belongs to.
    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The current state.
    pub(super) fn view(&self) -> View {
        let (phase, since) = unpack(self.phase.load(Ordering::Relaxed));
        let blocked_since = self.blocked_since.load(Ordering::Relaxed);
        let blocked = (blocked_since > 0).then(|| Blocked {
            since: Duration::from_millis(blocked_since),
            progress: Duration::from_millis(self.progress.load(Ordering::Relaxed)),
            bytes: self.taken.load(Ordering::Relaxed),
        });
        View { phase, since, blocked }
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(pack(phase, self.table.now_ms()), Ordering::Relaxed);
    }

    fn is_in(&self, phase: Phase) -> bool {
        unpack(self.phase.load(Ordering::Relaxed)).0 == phase
    }

    /// Notes that a request's head is complete.
    pub(super) fn request_begins(&self) {
        self.enter(Phase::Working);
    }

    /// Notes that a request's body is awaited, until the returned value is dropped.
    pub(super) fn receiving(self: &Arc<Self>) -> Receiving {
        self.enter(Phase::Body);
        Receiving(Arc::clone(self))
    }

    /// Ends the connection, even in the middle of a request.
    pub fn cut(&self) {
        self.tell(Order::Cut);
    }

    /// Gives it an order, which replaces a pending order only if it is a stronger one.
    pub(super) fn tell(&self, order: Order) {
        if self.order.fetch_max(order as u8, Ordering::AcqRel) < order as u8 {
            self.task.wake();
        }
    }

    fn next_order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::None,
            _ => ORDERS[usize::from(self.order.swap(0, Ordering::AcqRel))],
        }
    }

    /// Notes that bytes arrived.
    fn heard(&self) {
        if self.is_in(Phase::Idle) {
            self.enter(Phase::Head);
        }
    }

    /// Notes that bytes were sent, or could not be.
    fn written(&self, written: &Poll<io::Result<usize>>) {
        let was_blocked = self.blocked_since.load(Ordering::Relaxed) > 0;
        match written {
            Poll::Pending if !was_blocked => {
                let now = self.table.now_ms().max(1);
                self.taken.store(0, Ordering::Relaxed);
                self.progress.store(now, Ordering::Relaxed);
                self.blocked_since.store(now, Ordering::Relaxed);
            }
            Poll::Ready(Ok(bytes)) if was_blocked => {
                self.taken.fetch_add(*bytes as u64, Ordering::Relaxed);
                self.progress.store(self.table.now_ms(), Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Notes that all pending bytes are sent: nothing waits for the client, even if more will follow.
    fn flushed(&self) {
        if self.blocked_since.load(Ordering::Relaxed) > 0 {
            self.blocked_since.store(0, Ordering::Relaxed);
        }
    }
}

/// Marks that a request's body is awaited.
#[derive(Debug)]
pub(super) struct Receiving(Arc<Connection>);

impl Drop for Receiving {
    fn drop(&mut self) {
        self.0.enter(Phase::Working);
    }
}

/// Drives a connection until it ends or is ordered to end.
pub(super) async fn drive<S, B>(
    connection: Arc<Connection>,
    builder: &http1::Builder,
    stream: Stream,
    service: S,
) where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TrackedStream { stream, connection: Arc::clone(&connection) };
    let mut serving = pin!(builder.serve_connection(hyper_util::rt::TokioIo::new(stream), service));
    let outcome = poll_fn(|context| {
        connection.task.register(context.waker());
        match obey(&connection, connection.next_order()) {
            Obedience::GoOn => {}
            Obedience::Finish => serving.as_mut().graceful_shutdown(),
            Obedience::End(why) => return Poll::Ready(Err(why)),
        }
        serving.as_mut().poll(context).map(|ended| ended.map_err(|error| error.to_string()))
    })
    .await;
    if let Err(why) = outcome {
        tracing::debug!("a connection ended early: {why}");
    }
}

/// What to do about an order.
enum Obedience {
    GoOn,
    Finish,
    End(String),
}

fn obey(connection: &Connection, order: Order) -> Obedience {
    let table = &connection.table;
    match order {
        Order::None => Obedience::GoOn,
        Order::Finish => Obedience::Finish,
        // The reason for the order may have gone.
        Order::LookAtTheClock => match table.overdue(&connection.view()) {
            Some(overdue) => Obedience::End(format!("its client was too slow: {overdue:?}")),
            None => Obedience::GoOn,
        },
        Order::MakeRoom if connection.view().leaves(table.now()).is_none() => Obedience::Finish,
        Order::MakeRoom => Obedience::End("another connection needs its place".into()),
        Order::Cut => Obedience::End("it was cut".into()),
    }
}

/// A connection's byte stream, with its progress tracked.
struct TrackedStream {
    stream: Stream,
    connection: Arc<Connection>,
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        if into.filled().len() > before {
            self.connection.heard();
        }
        read
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.connection.written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.connection.written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.flushed();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A response's body. The exchange is over once it has been sent or dropped.
pub(super) struct TrackedBody<B> {
    content: Content<B>,
    connection: Arc<Connection>,
}

/// The source of a response.
pub(super) enum Content<B> {
    /// The service's response.
    Served(B),
    /// The server's own response.
    Said(Option<Bytes>),
}

impl<B> TrackedBody<B> {
    pub(super) fn new(content: Content<B>, connection: Arc<Connection>) -> Self {
        Self { content, connection }
    }
}

impl<B> Drop for TrackedBody<B> {
    fn drop(&mut self) {
        self.connection.enter(Phase::Idle);
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.content {
            Content::Served(body) => Pin::new(body).poll_frame(context),
            Content::Said(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Served(body) => body.is_end_stream(),
            Content::Said(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Served(body) => body.size_hint(),
            Content::Said(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
