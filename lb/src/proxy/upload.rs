//! A request on its way up: its head, and its body piece by piece, never collected, and counted
//! against the limit.

use std::cell::Cell;
use std::time::Duration;

use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::proxy::client::Client;
use crate::proxy::local_reply::LocalReply;
use crate::proxy::stream::{self, Stop, consume};
use crate::proxy::watchdog::Phase;
use crate::wire::chunks::{Chunks, write_size};
use crate::wire::{RequestBody, RequestHead};

/// What a client sends ahead of its time is read up to this, in bytes, and then waits.
const AHEAD_BYTES_MAX: usize = 16 * 1024;

/// A client has to send so many bytes of a body a second, on the whole.
const RATE_MIN: u64 = 500;

/// A request's body.
#[derive(Debug)]
pub struct Upload {
    body: Body,
    /// Bytes the client may still send.
    left: u64,
    /// True when some of it has been taken from the client: it cannot be had again.
    touched: Cell<bool>,
    complete: Cell<bool>,
    /// True when the whole request has been written to the upstream.
    sent: Cell<bool>,
    pace: Pace,
}

/// How slowly a client may send. One that gives a byte now and then would otherwise hold on to an
/// upstream for as long as it likes.
#[derive(Debug, Default)]
struct Pace {
    /// How long it has been waited for.
    waited: Duration,
    /// Bytes it has sent.
    sent: u64,
}

impl Pace {
    /// How much longer it may be waited for, when it is given this much time to begin with.
    fn left(&self, first: Duration) -> Duration {
        let earned = Duration::from_millis(self.sent.saturating_mul(1_000) / RATE_MIN);
        (first + earned).saturating_sub(self.waited)
    }
}

#[derive(Debug)]
enum Body {
    None,
    /// All of it is here, to be sent as often as need be.
    Kept(Vec<u8>),
    Length(u64),
    Chunked(Chunks),
}

/// What went wrong with a request while it was on its way up, by the client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadFault {
    /// Its body is larger than the limit.
    #[error("the request's body is too large")]
    TooLarge,
    /// Its body broke off, or made no sense.
    #[error("the request's body broke off or is malformed")]
    Broken,
    /// Its body did not come in time.
    #[error("the request's body did not come in time")]
    TooSlow,
    /// The client has gone.
    #[error("the client has gone")]
    Gone,
}

impl Upload {
    /// The body of a client's request.
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

    /// How it is framed on its way up.
    pub fn framing(&self) -> RequestBody {
        match &self.body {
            Body::None => RequestBody::None,
            Body::Kept(bytes) if bytes.is_empty() => RequestBody::None,
            Body::Kept(bytes) => RequestBody::Length(bytes.len() as u64),
            Body::Length(length) => RequestBody::Length(*length),
            Body::Chunked(_) => RequestBody::Chunked,
        }
    }

    /// True when all of it has been read from the client.
    pub fn is_complete(&self) -> bool {
        self.complete.get()
    }

    /// True when all of it, and the head before it, has been written to the upstream.
    pub fn is_sent(&self) -> bool {
        self.sent.get()
    }

    /// True when the whole request can be sent once more.
    pub fn is_whole(&self) -> bool {
        matches!(self.body, Body::None | Body::Kept(_)) || !self.touched.get()
    }

    /// True when it can be sent once more although some of it has been sent.
    pub fn is_kept(&self) -> bool {
        matches!(self.body, Body::Kept(_))
    }

    /// Waits for all of it, and keeps it. It must be known to be small.
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

    /// Sends a head, that is in `out`, and the body after it; then watches whether the client is
    /// still there. Returns only when something is the client's fault.
    ///
    /// An upstream that takes nothing more may have answered, so that is not for here to judge.
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
                    // It is the upstream's turn to take it.
                    watch.enter(Phase::Waiting);
                }
                match stream::write_all(to, out, watch).await {
                    Ok(()) => {}
                    // Whoever waits for the answer sees it too, and judges.
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

    /// Takes what has come of the body, and puts it out as it is framed upstream. True when that was
    /// the rest.
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
                // It moves, also while the answer does.
                watch.enter(watch.phase());
                Ok(())
            }
            Err(Stop::TooLate) => Err(UploadFault::TooSlow),
            Err(Stop::Broken(_)) => Err(UploadFault::Gone),
        }
    }
}

/// Reads what the client sends ahead. One that has closed its side may still want its answer; one
/// that has reset the connection does not.
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
