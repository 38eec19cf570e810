//! A running load generator, with its two threads.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};

use super::arrivals::Schedule;
use super::client::Client;
use super::pacer::{Command, DueRequest, PacedStream, Pacer};
use super::requests::RequestMaker;
use super::{InvalidRequests, LiveFigures, Moment, Rate, Recorder, Stream, StreamId};

/// Polling interval for whether everything is answered.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running generator of any number of streams. Dropping it also stops it, without waiting.
#[derive(Debug)]
pub struct Generator {
    commands: mpsc::Sender<Command>,
    recorder: Recorder,
    threads: [JoinHandle<()>; 2],
}

impl Generator {
    /// Starts a generator without streams. All its moments count from `origin`.
    pub fn start(origin: Instant) -> io::Result<Self> {
        let recorder = Recorder::new(origin);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (commands, orders) = mpsc::channel();
        let (hand_over, due) = unbounded_channel();
        let pacer = Pacer::new(recorder.clone(), hand_over);
        let threads = [
            thread::Builder::new().name("load-pacer".into()).spawn(move || pacer.run(orders))?,
            thread::Builder::new().name("load-sender".into()).spawn(move || send_all(&runtime, due))?,
        ];
        Ok(Self { commands, recorder, threads })
    }

    /// Adds a stream, which is stopped until it is given a rate.
    pub fn add(&self, stream: Stream) -> Result<StreamId, InvalidRequests> {
        let requests = RequestMaker::new(&stream)?;
        let schedule = Schedule::new(stream.arrivals, stream.seed);
        let client = Arc::new(Client::new(&stream, self.recorder.clone()));
        let id = self.recorder.add(&stream.name, stream.in_flight_max, stream.patience());
        self.command(Command::Add(id, Box::new(PacedStream { schedule, requests, client })));
        Ok(id)
    }

    /// Sets the rate of a stream from now on. Requests in flight are unaffected.
    pub fn set_rate(&self, stream: StreamId, rate: Rate) {
        self.command(Command::SetRate(stream, rate));
    }

    /// Sends `count` requests, evenly spaced, the first one at once. Then the stream stops.
    pub fn send(&self, stream: StreamId, count: u64, per_second: f64) {
        self.command(Command::Send(stream, count, per_second));
    }

    /// Sends `count` requests, like [`Self::send`], and waits for their answers, until the time that sending
    /// takes plus `margin` has passed. A request without an answer by then is unfinished in the record.
    pub async fn send_and_wait(&self, stream: StreamId, count: u64, per_second: f64, margin: Duration) {
        let from = self.recorder.now();
        self.send(stream, count, per_second);
        let limit = Duration::from_secs_f64(count as f64 / per_second) + margin;
        let answered = async {
            let entered = || {
                let window = self.recorder.window(stream, from, Moment::MAX);
                window.requests() + window.unsent()
            };
            while (entered() as u64) < count {
                sleep(LOOK_EVERY).await;
            }
        };
        let _ = timeout(limit, answered).await;
    }

    /// Sends the stream's requests to another target from now on. Requests in flight stay where they are.
    pub fn aim(&self, stream: StreamId, target: SocketAddr) {
        self.command(Command::Aim(stream, target));
    }

    /// The record of all requests, which outlives the generator.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// A stream's figures for the last second.
    pub fn live(&self, stream: StreamId) -> LiveFigures {
        self.recorder.live(stream)
    }

    /// The number of a stream's requests that were sent and have no outcome yet.
    pub fn in_flight(&self, stream: StreamId) -> usize {
        self.recorder.in_flight(stream)
    }

    /// Stops at once. Requests in flight are aborted and stay without an outcome; to have them all, wait for
    /// [`Recorder::settled`] first.
    pub fn stop(self) {
        drop(self.commands);
        for thread in self.threads {
            // A thread that panicked has reported it, and has stopped.
            let _ = thread.join();
        }
    }

    fn command(&self, command: Command) {
        // A pacer that is gone has panicked and reported it; without it there is no load to control.
        let _ = self.commands.send(command);
    }
}

/// The sender thread: every request is a task of its own, so none waits for another. It ends, and aborts what
/// is in flight, when the pacer has ended.
fn send_all(runtime: &Runtime, mut due: UnboundedReceiver<DueRequest>) {
    runtime.block_on(async {
        while let Some(DueRequest { client, ticket, made, counted }) = due.recv().await {
            tokio::spawn(async move { client.send(ticket, made, counted).await });
        }
    });
}
