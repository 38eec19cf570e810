//! Response bodies: complete ones, and lists that are serialized while they are sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use machine::serving::Connection;
use machine::serving::budget::Share;
use machine::steps::Steps;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio_util::sync::{CancellationToken, DropGuard, PollSemaphore};

use super::listing::Listing;

/// A response body.
#[derive(Debug)]
pub enum AnswerBody {
    /// A complete body.
    Whole(Full<Bytes>),
    /// A list, serialized piece by piece.
    List(Box<ListBody>),
}

/// A list that is serialized while it is sent. It holds one share of the memory for lists.
#[derive(Debug)]
pub struct ListBody {
    next: Option<Bytes>,
    listing: Listing,
    steps: Steps,
    /// Serializes access among all lists.
    turn: PollSemaphore,
    /// Ends the watch over the share.
    _watch: DropGuard,
}

impl ListBody {
    /// The rest of a list after its first piece. If other lists wait for its share and the client
    /// does not read, the connection is cut.
    pub(super) fn new(
        first: Bytes,
        listing: Listing,
        share: Share,
        connection: Option<Arc<Connection>>,
        turn: Arc<Semaphore>,
        steps: Steps,
    ) -> Self {
        let sent = CancellationToken::new();
        let watch = sent.clone().drop_guard();
        tokio::spawn(async move {
            tokio::select! {
                () = sent.cancelled() => {}
                () = share.is_wanted_back() => connection.iter().for_each(|connection| connection.cut()),
            }
        });
        Self { next: Some(first), listing, steps, turn: PollSemaphore::new(turn), _watch: watch }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(first) = self.next.take() {
            return Poll::Ready(Some(first));
        }
        if self.listing.is_done() {
            return Poll::Ready(None);
        }
        let turn = ready!(self.turn.poll_acquire(context));
        // The next piece of any list comes only after all other ready tasks have had a turn.
        tokio::spawn(async move {
            yield_now().await;
            drop(turn);
        });
        let listing = &mut self.listing;
        Poll::Ready(self.steps.time("a piece of a list", || listing.next_piece()))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::List(body) => {
                body.poll_piece(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::List(body) => body.next.is_none() && body.listing.is_done(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::List(_) => SizeHint::default(),
        }
    }
}
