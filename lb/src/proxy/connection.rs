//! A client's connection, from accept to close.

use std::cell::Cell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::Client;
use super::forward::forward;
use super::local_reply::LocalReply;
use super::request::{After, Request};
use super::respond::refuse;
use super::stream::{self, Stop, consume};
use super::watchdog::Phase;
use super::worker::Worker;
use crate::wire::{Fields, RequestHead};

/// How long a client may take to read a response that was sent before its request was complete, and
/// how many bytes of the rest of the request are discarded meanwhile (lingering close).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 4 * 1024 * 1024;

/// Why no request was read.
enum NoRequest {
    /// The client has closed the connection, or the balancer wants it closed.
    Closed,
    /// What was received is not a valid request.
    Refused(LocalReply),
}

/// Serves a connection until one side closes it.
pub async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let watch = worker.watchdog.watch();
    let client = Client {
        watch: Rc::clone(&watch),
        forwarded_for: peer.ip().to_canonical().to_string(),
        unread: Cell::new(false),
        worker,
    };
    let mut serving = pin!(serve_requests(&client, stream));
    std::future::poll_fn(|context| {
        watch.remember(context.waker());
        if watch.is_cut() { Poll::Ready(()) } else { serving.as_mut().poll(context) }
    })
    .await;
}

async fn serve_requests(client: &Client, mut stream: TcpStream) {
    let (mut inbox, mut head, mut fields) = (Vec::new(), RequestHead::default(), Fields::default());
    loop {
        let read = read_head(client, &mut stream, &mut inbox, &mut head).await;
        let mut request =
            Request { client, stream: &mut stream, inbox: &mut inbox, head: &head, fields: &mut fields };
        let after = match read {
            Ok(()) => forward(&mut request).await,
            Err(NoRequest::Refused(reply)) => refuse(&mut request, reply, true).await,
            Err(NoRequest::Closed) => After::Close,
        };
        head.clear();
        match after {
            After::Next => client.watch.enter(Phase::Idle),
            After::Close if inbox.is_empty() && !seems_readable(&stream) => break,
            After::Cut => break,
            After::Close | After::Linger => {
                // A client that does not close in time is cut off here.
                let _ = timeout(LINGER, linger(stream)).await;
                break;
            }
            After::Reset => {
                // The client must see a broken connection, not what looks like the end of the
                // response.
                let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                break;
            }
        }
    }
    client.worker.buffers.give_back(&mut inbox);
}

/// Reads until a whole head is there. An idle client holds no buffer.
async fn read_head(
    client: &Client,
    stream: &mut TcpStream,
    inbox: &mut Vec<u8>,
    head: &mut RequestHead,
) -> Result<(), NoRequest> {
    let bytes_max = client.worker.config.limits.header_bytes;
    let watch = &client.watch;
    let mut looked_at = 0;
    loop {
        if !inbox.is_empty() {
            if watch.phase() == Phase::Idle {
                watch.enter(Phase::Head);
            }
            // Parse only when a line is complete: a slow client would otherwise cost one attempt
            // per byte.
            if inbox.len() > bytes_max || inbox[looked_at..].contains(&b'\n') {
                match head.read(inbox, bytes_max).map_err(|error| NoRequest::Refused(error.into()))? {
                    Some(bytes) => {
                        consume(inbox, bytes);
                        return Ok(());
                    }
                    None => skip_empty_lines(inbox),
                }
            }
            looked_at = inbox.len();
        }
        if inbox.is_empty() {
            client.worker.buffers.give_back(inbox);
            stream::readable(stream, watch).await.map_err(|_| NoRequest::Closed)?;
        }
        client.make_room(inbox);
        match stream::read(stream, inbox, watch).await {
            Ok(0) | Err(Stop::Broken(_)) => return Err(NoRequest::Closed),
            Ok(_) => {}
            Err(Stop::TooLate) if inbox.is_empty() => return Err(NoRequest::Closed),
            Err(Stop::TooLate) => return Err(NoRequest::Refused(LocalReply::ClientTooSlow)),
        }
    }
}

/// Drops leading empty lines, so that an endless row of them does not fill the buffer.
fn skip_empty_lines(inbox: &mut Vec<u8>) {
    let empty = inbox.chunks_exact(2).take_while(|line| line == b"\r\n").count();
    consume(inbox, 2 * empty);
}

/// Lingering close: closing a socket with unread bytes resets the connection, and the client may
/// lose the response. So the rest is read and discarded until the client closes, within limits.
async fn linger(mut stream: TcpStream) -> std::io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

/// Returns true if bytes seem to be waiting that will not be read.
fn seems_readable(stream: &TcpStream) -> bool {
    stream.poll_read_ready(&mut Context::from_waker(Waker::noop())).is_ready()
}
