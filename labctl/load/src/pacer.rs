//! The pacer thread. It sleeps until the next arrival of any stream is due, enters it in the record and
//! passes it to the sender; it never waits for anything else. Arrivals that became due while it overslept are
//! passed on all at once, each with its intended moment; those overdue by too much are not sent. A counted
//! number is sent later instead, as evenly spaced as before.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use tokio::sync::mpsc::UnboundedSender;

use super::arrivals::Schedule;
use super::client::Client;
use super::request_log::Ticket;
use super::requests::{PreparedRequest, RequestMaker};
use super::{Moment, Rate, Recorder, StreamId};

/// A command to the pacer.
#[derive(Debug)]
pub(super) enum Command {
    /// Adds a stream.
    Add(StreamId, Box<PacedStream>),
    /// Sets a stream's rate from now on.
    SetRate(StreamId, Rate),
    /// Sends this many requests of a stream, at this many per second.
    Send(StreamId, u64, f64),
    /// Sends a stream's requests to another target.
    Aim(StreamId, SocketAddr),
}

/// A stream, as the pacer sees it.
#[derive(Debug)]
pub(super) struct PacedStream {
    pub(super) schedule: Schedule,
    pub(super) requests: RequestMaker,
    pub(super) client: Arc<Client>,
}

/// A request that is due.
#[derive(Debug)]
pub(super) struct DueRequest {
    pub(super) client: Arc<Client>,
    pub(super) ticket: Ticket,
    pub(super) made: PreparedRequest,
    /// One of a counted number: it is sent however late it is.
    pub(super) counted: bool,
}

#[derive(Debug)]
pub(super) struct Pacer {
    streams: BTreeMap<StreamId, Box<PacedStream>>,
    recorder: Recorder,
    /// Unbounded, but limited by the streams' limits of requests in flight.
    due: UnboundedSender<DueRequest>,
}

impl Pacer {
    pub(super) fn new(recorder: Recorder, due: UnboundedSender<DueRequest>) -> Self {
        Self { streams: BTreeMap::new(), recorder, due }
    }

    /// Runs until every sender of commands is dropped.
    pub(super) fn run(mut self, commands: Receiver<Command>) {
        loop {
            self.send_due(self.recorder.now());
            let next = self.next_due();
            self.recorder.entered_until(next.unwrap_or(Moment::MAX));
            let command = match next {
                Some(next) => commands.recv_timeout(next.saturating_sub(self.recorder.now())),
                None => commands.recv().map_err(RecvTimeoutError::from),
            };
            match command {
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let now = self.recorder.now();
        // Sent under the old rate, before the new one holds; from here on there may be more.
        self.send_due(now);
        self.recorder.entered_until(now);
        match command {
            Command::Add(id, stream) => {
                self.streams.insert(id, stream);
            }
            Command::SetRate(id, rate) => {
                self.stream(id).schedule.set_rate(now, rate);
                self.recorder.rate_set(id, now, rate);
            }
            Command::Send(id, count, per_second) => {
                self.stream(id).schedule.send(now, count, per_second);
                self.recorder.rate_set(id, now, Rate::Steady(per_second));
            }
            Command::Aim(id, target) => {
                let stream = self.stream(id);
                stream.client = Arc::new(stream.client.aimed_at(target));
                stream.requests.aim_at(target);
            }
        }
    }

    fn stream(&mut self, id: StreamId) -> &mut PacedStream {
        self.streams.get_mut(&id).expect("a stream is added before its id is known")
    }

    fn send_due(&mut self, now: Moment) {
        for (id, stream) in &mut self.streams {
            stream.schedule.make_up_for_a_pause(now, Client::OVERDUE);
            let counted = stream.schedule.is_counted();
            while let Some(intended) = stream.schedule.take_due(now) {
                // PreparedRequest even if it is not sent, so that the same seed produces the same keys.
                let made = stream.requests.make();
                let Some(ticket) = self.recorder.begin(*id, intended) else { continue };
                let client = Arc::clone(&stream.client);
                // A sender that is gone has stopped, and so will this thread.
                let _ = self.due.send(DueRequest { client, ticket, made, counted });
            }
        }
    }

    fn next_due(&self) -> Option<Moment> {
        self.streams.values().filter_map(|stream| stream.schedule.next_due()).min()
    }
}
