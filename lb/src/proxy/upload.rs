//! Passes a request from the client to the upstream: its head, then its body piece by piece. The
//! body is never collected, and it is counted against the limit.

use std::cell::Cell;
use std::time::Duration;

use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::proxy::client::Client;
use crate::proxy::local_reply::LocalReply;
use crate::proxy::stream::{self, Stop, consume};
use crate::proxy::watchdog::Phase;
use crate::wire::chunks::{Chunks, write_size};
use crate::wire::{RequestBody, RequestHead};

/// Bytes that are read of what a client pipelines; beyond that, the client has to wait.
const AHEAD_BYTES_MAX: usize = 16 * 1024;

/// The lowest average rate at which a client may send its body, in bytes per second.
const RATE_MIN: u64 = 500;

/// A request's body.
#[derive(Debug)]
pub struct Upload {
    body: Body,
    /// Bytes that the client may still send.
    left: u64,
    /// True once some of the body has been taken from the client, so that it cannot be read again.
    touched: Cell<bool>,
    complete: Cell<bool>,
    /// True once the whole request has been written to the upstream.
    sent: Cell<bool>,
    pace: Pace,
}

/// Measures how fast a client sends. A client that trickles bytes (slowloris) would otherwise occupy
/// an upstream for as long as it likes.
#[derive(Debug, Default)]
struct Pace {
    /// Total time spent waiting for the client.
    waited: Duration,
    /// Bytes the client has sent.
    sent: u64,
}

impl Pace {
    /// Returns how much longer the client may be waited for, given an initial allowance.
    fn left(&self, first: Duration) -> Duration {
        let earned = Duration::from_millis(self.sent.saturating_mul(1_000) / RATE_MIN);
        (first + earned).saturating_sub(self.waited)
    }
}

#[derive(Debug)]
enum Body {
    None,
    /// The whole body in memory, so that it can be sent repeatedly.
    Kept(Vec<u8>),
    Length(u64),
    Chunked(Chunks),
}

/// A fault of the client's while its request was being sent upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadFault {
    /// The body exceeds the limit.
    #[error("the request's body is too large")]
    TooLarge,
    /// The body is incomplete or malformed.
    #[error("the request's body broke off or is malformed")]
    Broken,
    /// The body did not arrive in time.
    #[error("the request's body did not come in time")]
    TooSlow,
    /// The client has gone.
    #[error("the client has gone")]
    Gone,
}

impl Upload {
    /// Prepares the body of a client's request; an error if its length exceeds the limit.
    pub fn of(head: &RequestHead, bytes_max: u64) -> Result<Self, LocalReply> {
        let body = match head.body {
            RequestBody::None => Body::None,
            RequestBody::Length(length) if length > bytes_max => return Err(LocalReply::BodyTooLarge),
            RequestBody::Length(length) => Body::Length(length),
            RequestBody::Chunked => Body::Chunked(Chunks::default()),
        };
        let complete = Cell::new(matches!(body, Body::None));
        Ok(Self {
            body,
            left: bytes_max,
            touched: Cell::new(false),
            complete,
            sent: Cell::new(false),
            pace: Pace::default(),
        })
    }

    /// Returns how the body is framed towards the upstream.
    pub fn framing(&self) -> RequestBody {
        match &self.body {
            Body::None => RequestBody::None,
            Body::Kept(bytes) if bytes.is_empty() => RequestBody::None,
            Body::Kept(bytes) => RequestBody::Length(bytes.len() as u64),
            Body::Length(length) => RequestBody::Length(*length),
            Body::Chunked(_) => RequestBody::Chunked,
        }
    }

    /// True once the whole body has been read from the client.
    pub fn is_complete(&self) -> bool {
        self.complete.get()
    }

    /// True once the whole request has been written to the upstream.
    pub fn is_sent(&self) -> bool {
        self.sent.get()
    }

    /// True if the whole request can be sent once more.
    pub fn is_whole(&self) -> bool {
        matches!(self.body, Body::None | Body::Kept(_)) || !self.touched.get()
    }

    /// True if the request can be sent once more although parts of it were already sent.
    pub fn is_kept(&self) -> bool {
        matches!(self.body, Body::Kept(_))
    }

    /// Reads the whole body and keeps it. The caller has checked that it is small.
    pub async fn keep(
        &mut self,
        client: &Client,
        from: &mut ReadHalf<'_>,
        inbox: &mut Vec<u8>,
    ) -> Result<(), UploadFault> {
        let mut kept = Vec::new();
        while !self.take(inbox, &mut kept, false)? {
            self.read_more(client, from, inbox).await?;
        }
        self.body = Body::Kept(kept);
        client.unread.set(false);
        client.watch.enter(Phase::Waiting);
        Ok(())
    }

    /// Sends the head in `out` and then the body; afterwards watches for the client to disconnect.
    /// Returns only for a fault of the client's.
    ///
    /// An upstream that stops reading may already have responded, so that is not judged here.
    pub async fn send(
        &mut self,
        client: &Client,
        from: &mut ReadHalf<'_>,
        inbox: &mut Vec<u8>,
        to: &mut WriteHalf<'_>,
        out: &mut Vec<u8>,
    ) -> UploadFault {
        let watch = &client.watch;
        self.sent.set(false);
        loop {
            let done = match self.take(inbox, out, true) {
                Ok(done) => done,
                Err(fault) => return fault,
            };
            client.unread.set(!done);
            if !out.is_empty() {
                if watch.phase() == Phase::Upload {
                    // The upstream is the one to wait for.
                    watch.enter(Phase::Waiting);
                }
                match stream::write_all(to, out, watch).await {
                    Ok(()) => {}
                    // The task that waits for the response sees this too, and decides.
                    Err(Stop::TooLate | Stop::Broken(_)) => return std::future::pending().await,
                }
                out.clear();
            }
            if done {
                break;
            }
            if let Err(fault) = self.read_more(client, from, inbox).await {
                return fault;
            }
        }
        self.sent.set(true);
        watch_for_disconnect(client, from, inbox).await
    }

    /// Takes body bytes from `inbox` and writes them to `out` in the upstream's framing. Returns
    /// true when the body is complete.
    fn take(&mut self, inbox: &mut Vec<u8>, out: &mut Vec<u8>, framed: bool) -> Result<bool, UploadFault> {
        let before = inbox.len();
        let mut too_large = false;
        let done = match &mut self.body {
            Body::None => true,
            Body::Kept(bytes) => {
                out.extend_from_slice(bytes);
                true
            }
            Body::Length(length) => {
                let bytes = inbox.len().min(usize::try_from(*length).unwrap_or(usize::MAX));
                out.extend_from_slice(&inbox[..bytes]);
                consume(inbox, bytes);
                *length -= bytes as u64;
                *length == 0
            }
            Body::Chunked(chunks) => {
                let left = &mut self.left;
                let used = chunks.decode(inbox, |data| {
                    match left.checked_sub(data.len() as u64) {
                        Some(rest) => *left = rest,
                        None => too_large = true,
                    }
                    if framed {
                        write_size(data.len(), out);
                    }
                    out.extend_from_slice(data);
                    if framed {
                        out.extend_from_slice(b"\r\n");
                    }
                });
                consume(inbox, used.map_err(|_| UploadFault::Broken)?);
                if chunks.is_done() && framed {
                    out.extend_from_slice(b"0\r\n");
                    chunks.write_trailers_to(out);
                    out.extend_from_slice(b"\r\n");
                }
                chunks.is_done()
            }
        };
        if too_large {
            return Err(UploadFault::TooLarge);
        }
        self.touched.set(self.touched.get() || inbox.len() < before);
        self.complete.set(done);
        Ok(done)
    }

    async fn read_more(
        &mut self,
        client: &Client,
        from: &mut ReadHalf<'_>,
        inbox: &mut Vec<u8>,
    ) -> Result<(), UploadFault> {
        let (watch, began) = (&client.watch, client.worker.watchdog.now());
        if watch.phase() != Phase::Download {
            watch.enter(Phase::Upload);
            watch.shorten(self.pace.left(client.worker.config.timeouts.header));
        }
        client.make_room(inbox);
        match stream::read(from, inbox, watch).await {
            Ok(0) => Err(UploadFault::Broken),
            Ok(bytes) => {
                self.pace.waited += client.worker.watchdog.now() - began;
                self.pace.sent += bytes as u64;
                // An upload counts as progress even while the response is under way.
                watch.enter(watch.phase());
                Ok(())
            }
            Err(Stop::TooLate) => Err(UploadFault::TooSlow),
            Err(Stop::Broken(_)) => Err(UploadFault::Gone),
        }
    }
}

/// Watches for a disconnect while the upstream works, and reads what the client pipelines. A client
/// that has half-closed may still want its response; one that has reset the connection does not.
async fn watch_for_disconnect(client: &Client, from: &mut ReadHalf<'_>, inbox: &mut Vec<u8>) -> UploadFault {
    while inbox.len() < AHEAD_BYTES_MAX {
        let ready = std::future::poll_fn(|context| from.as_ref().poll_read_ready(context)).await;
        if ready.is_err() {
            return UploadFault::Gone;
        }
        client.make_room(inbox);
        match from.try_read_buf(inbox) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return UploadFault::Gone,
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_earns_time_with_what_it_sends() {
        let first = Duration::from_secs(10);
        let mut pace = Pace::default();
        assert_eq!(pace.left(first), first);
        pace.waited = Duration::from_secs(9);
        pace.sent = 9;
        assert_eq!(pace.left(first), Duration::from_millis(1_018));
        pace.sent = 5_000;
        assert_eq!(pace.left(first), Duration::from_secs(11));
        pace.waited = Duration::from_secs(60);
        assert_eq!(pace.left(first), Duration::ZERO);
    }
}
