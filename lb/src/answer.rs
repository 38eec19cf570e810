//! An answer's body on its way down. While it is read, the connection it comes from is driven;
//! when it is complete, that connection waits for its next request.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::client::Client;
use crate::upstream::connection::Connection;
use crate::upstream::{InFlight, Outcome};
use crate::watchdog::Phase;

/// An answer's body.
#[derive(Debug)]
pub enum Answer {
    /// The balancer's own.
    Own(Option<Bytes>),
    /// An upstream's.
    Passed(Passed),
}

/// A body that is being passed on.
#[derive(Debug)]
pub struct Passed {
    incoming: Incoming,
    /// What it comes over; none when the answer is complete, or will never be.
    connection: Option<Box<Connection>>,
    /// What a complete answer is counted as.
    outcome: Outcome,
    in_flight: InFlight,
    client: Rc<Client>,
}

impl Answer {
    /// The rest of an answer that begins with this status.
    pub fn pass(
        client: &Rc<Client>,
        in_flight: InFlight,
        status: StatusCode,
        connection: Box<Connection>,
        incoming: Incoming,
    ) -> Self {
        client.watch.enter(Phase::Download);
        let outcome = Outcome::answered(status);
        let client = Rc::clone(client);
        let mut body = Passed { incoming, connection: Some(connection), outcome, in_flight, client };
        if body.incoming.is_end_stream() {
            body.complete();
        }
        Self::Passed(body)
    }
}

impl Passed {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut polled = Pin::new(&mut self.incoming).poll_frame(context);
        if polled.is_pending()
            && let Some(connection) = &mut self.connection
        {
            connection.drive(context);
            polled = Pin::new(&mut self.incoming).poll_frame(context);
        }
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(_))) => {
                self.client.watch.enter(Phase::Download);
                if self.incoming.is_end_stream() {
                    self.complete();
                }
            }
            Poll::Ready(None) => self.complete(),
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(upstream = self.in_flight.upstream.name, %error, "an answer broke off");
                self.in_flight.outcome = Outcome::Broken;
                self.connection = None;
            }
        }
        polled
    }

    fn complete(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.in_flight.outcome = self.outcome;
            let worker = &self.client.worker;
            worker.connections.put(self.in_flight.upstream.id, connection, worker.watchdog.now());
        }
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        self.client.watch.enter(Phase::Idle);
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut *self {
            Self::Own(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Passed(body) => body.poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_none(),
            Self::Passed(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Passed(body) => body.incoming.size_hint(),
        }
    }
}
