//! One client's connection, from accept to close.

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

/// How long a client may take to read an answer that it gets before it has sent all of its
/// request, and how much of the rest is thrown away meanwhile.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 4 * 1024 * 1024;

/// Why there is no request.
enum NoRequest {
    /// The client has closed, or is to go.
    Closed,
    /// What came is none.
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
                // A client that closes before the end, or does not, has had its time.
                let _ = timeout(LINGER, linger(stream)).await;
                break;
            }
            After::Reset => {
                // The client is to see a broken connection rather than the end of an answer.
                let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                break;
            }
        }
    }
    client.worker.buffers.give_back(&mut inbox);
}

/// Reads until a whole head is there. A client that is quiet takes up no buffer.
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
            // A head is read when a line of it has come: not for every byte, which may come slowly.
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

/// An endless row of them is not collected.
fn skip_empty_lines(inbox: &mut Vec<u8>) {
    let empty = inbox.chunks_exact(2).take_while(|line| line == b"\r\n").count();
    consume(inbox, 2 * empty);
}

/// Closing a socket with unread bytes resets the connection, and the client may lose the answer
/// that is on its way. So the rest is read and thrown away until the client closes, within limits.
async fn linger(mut stream: TcpStream) -> std::io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

/// Whether there seem to be bytes that nobody will read.
fn seems_readable(stream: &TcpStream) -> bool {
    stream.poll_read_ready(&mut Context::from_waker(Waker::noop())).is_ready()
}
