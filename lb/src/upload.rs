//! A request's body on its way up: passed on piece by piece, never collected, and counted against
//! the limit.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::client::Client;
use crate::refusal::Refusal;
use crate::watchdog::{Phase, Watch};

/// A request's body.
#[derive(Debug)]
pub enum Upload {
    /// There is none.
    Empty,
    /// All of it is here, to be sent as often as need be.
    Kept(Option<Bytes>),
    /// It is being passed on.
    Passing(Passing),
}

/// A body that is being passed on.
#[derive(Debug)]
pub struct Passing {
    incoming: Incoming,
    /// Bytes the client may still send.
    left: u64,
    complete: bool,
    client: Rc<Client>,
}

/// What went wrong with a body, by the client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadFault {
    /// It is larger than the limit.
    #[error("the request's body is too large")]
    TooLarge,
    /// It broke off, or made no sense.
    #[error("the request's body broke off or is malformed")]
    Broken,
}

impl Upload {
    /// The body of a client's request.
    pub fn of(client: &Rc<Client>, incoming: Incoming) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        let left = client.worker.config.limits.body_bytes;
        Self::Passing(Passing { incoming, left, complete: false, client: Rc::clone(client) })
    }

    /// Waits for all of it, and keeps it. It must be known to be small.
    pub async fn keep(self, watch: &Watch) -> Result<Self, Refusal> {
        let mut collecting = pin!(self.collect());
        let collected = std::future::poll_fn(|context| match collecting.as_mut().poll(context) {
            Poll::Ready(collected) => Poll::Ready(collected.map_err(Refusal::from)),
            Poll::Pending if watch.is_expired() => Poll::Ready(Err(Refusal::ClientTooSlow)),
            Poll::Pending => Poll::Pending,
        });
        Ok(Self::Kept(Some(collected.await?.to_bytes())))
    }

    /// The same once more, if it can be had.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Kept(Some(bytes)) => Some(Self::Kept(Some(bytes.clone()))),
            Self::Kept(None) | Self::Passing(_) => None,
        }
    }
}

impl Passing {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadFault>>> {
        let polled = match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
            Some(Ok(frame)) => Some(self.count(frame)),
            Some(Err(_)) => Some(Err(UploadFault::Broken)),
            None => None,
        };
        if let Some(Err(fault)) = polled {
            // The connection upstream is dropped in the middle of this body: it never ends cleanly.
            self.client.upload_fault.set(Some(fault));
        } else {
            self.complete = polled.is_none() || self.incoming.is_end_stream();
            self.note_that_it_moves();
        }
        Poll::Ready(polled)
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, UploadFault> {
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        self.left = self.left.checked_sub(bytes).ok_or(UploadFault::TooLarge)?;
        Ok(frame)
    }

    fn note_that_it_moves(&self) {
        let phase = match self.client.watch.phase() {
            // The upstream answers before it has everything.
            Phase::Download => Phase::Download,
            _ if self.complete => Phase::Waiting,
            _ => Phase::Upload,
        };
        self.client.watch.enter(phase);
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if !self.complete {
            self.client.left_unread.set(true);
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFault>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Kept(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Passing(body) => body.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Kept(bytes) => bytes.is_none(),
            Self::Passing(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Kept(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Passing(body) => body.incoming.size_hint(),
        }
    }
}
