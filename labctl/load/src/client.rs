//! Sends one request, from the moment it is sent to its outcome. It is repeated only if the stream has a
//! retry policy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::connections::{Connection, Connections};
use super::history::ResponseSummary;
use super::request_log::Ticket;
use super::requests::PreparedRequest;
use super::retry::{Retry, RetryBudget, is_worth_repeating};
use super::sample::Completion;
use super::{CacheMark, Outcome, Recorder, Stream};

/// Sends the requests of one stream.
#[derive(Debug)]
pub(super) struct Client {
    connections: Connections,
    timeout: Duration,
    retry: Option<Retry>,
    /// Shared by all users of the stream, whatever the target.
    budget: Option<Arc<Mutex<RetryBudget>>>,
    recorder: Recorder,
    contains: Option<String>,
    /// True if bodies are kept, because something inspects them.
    keeps_bodies: bool,
}

/// The answer to one attempt.
#[derive(Debug)]
struct Answer {
    outcome: Outcome,
    status: u16,
    served_by: Option<String>,
    cache: CacheMark,
    headers: HeaderMap,
    /// Its body, if it is kept.
    body: Vec<u8>,
}

/// The result of all attempts of one request.
#[derive(Debug)]
struct Asked {
    /// The last answer.
    answer: Answer,
    connection: Option<Connection>,
    attempts: u32,
}

impl Client {
    /// The longest answer that is read, in bytes; a longer one cannot be right.
    const ANSWER_MAX: usize = 64 * 1024 * 1024;

    /// A request that is overdue by more than this is not sent any more. If the generator, or the whole
    /// computer, stood still for a while, everything it missed would otherwise reach the target at once.
    /// Nobody asked for that burst, and a target that breaks under it would be blamed.
    pub(super) const OVERDUE: Duration = Duration::from_millis(100);

    pub(super) fn new(stream: &Stream, recorder: Recorder) -> Self {
        let connections = Connections::new(stream.target, stream.connect_timeout);
        let contains = stream.contains.clone();
        let keeps_bodies = contains.is_some() || stream.recorded.is_some();
        let budget = stream.retry.and_then(|retry| retry.budget);
        let budget = budget.map(|share| Arc::new(Mutex::new(RetryBudget::new(share))));
        let (timeout, retry) = (stream.timeout, stream.retry);
        Self { connections, timeout, retry, budget, recorder, contains, keeps_bodies }
    }

    /// The same client for another target, with connections of its own.
    pub(super) fn aimed_at(&self, target: SocketAddr) -> Self {
        let connections = self.connections.aimed_at(target);
        let (recorder, contains, budget) =
            (self.recorder.clone(), self.contains.clone(), self.budget.clone());
        let Self { timeout, retry, keeps_bodies, .. } = *self;
        Self { connections, timeout, retry, budget, recorder, contains, keeps_bodies }
    }

    /// Sends a request, records its outcome, and keeps the connection for the next one. A request that is
    /// overdue by too much is only recorded, unless it is one of a counted number.
    pub(super) async fn send(
        &self,
        ticket: Ticket,
        PreparedRequest { request, user, entry }: PreparedRequest,
        counted: bool,
    ) {
        let sent = self.recorder.now();
        let lag = sent.saturating_sub(ticket.intended);
        if lag > Self::OVERDUE && !counted {
            return self.recorder.finish(ticket, Completion::not_sent(lag));
        }
        let pending = entry.map(|entry| entry.begin(sent));
        let Asked { answer, connection, attempts } = self.ask(request).await;
        let ended = self.recorder.now();
        let latency = ended.saturating_sub(ticket.intended);
        let Answer { outcome, status, served_by, cache, headers, body } = answer;
        if let Some(pending) = pending {
            let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            let (node, etag) = (named("x-db-node").map(str::to_owned), named("etag"));
            pending.complete(ended, &ResponseSummary { outcome, status, node, etag, body: &body });
        }
        if let Some((user, cookies)) = user {
            // Before the outcome is recorded, so that a caller that waits for it finds the user logged in.
            cookies.keep(&user, &headers);
        }
        let served_by = served_by.and_then(|name| self.recorder.server(&name));
        self.recorder
            .finish(ticket, Completion { lag, latency, outcome, status, served_by, cache, attempts });
        if let Some(connection) = connection {
            self.connections.park(connection).await;
        }
    }

    /// Sends a request, and repeats it by the retry policy until it succeeds or the policy gives up.
    async fn ask(&self, mut request: Request<Full<Bytes>>) -> Asked {
        if let Some(budget) = &self.budget {
            budget.lock().deposit();
        }
        let mut attempts = 1;
        loop {
            let retry = self.retry.filter(|retry| attempts <= retry.times);
            let again = retry.map(|retry| (retry.pause, request.clone()));
            let (answer, connection) = self.attempt(request).await;
            match again {
                Some((pause, same)) if is_worth_repeating(answer.outcome) && self.may_repeat() => {
                    if let Some(connection) = connection {
                        self.connections.park(connection).await;
                    }
                    sleep(pause).await;
                    request = same;
                    attempts += 1;
                }
                _ => return Asked { answer, connection, attempts },
            }
        }
    }

    /// Takes the price of a retry out of the budget, if there is one.
    fn may_repeat(&self) -> bool {
        self.budget.as_ref().is_none_or(|budget| budget.lock().withdraw())
    }

    /// Makes one attempt.
    async fn attempt(&self, request: Request<Full<Bytes>>) -> (Answer, Option<Connection>) {
        let exchange = timeout(self.timeout, self.exchange(request)).await;
        match exchange.unwrap_or(Err(Outcome::Timeout)) {
            Ok((answer, connection)) => (answer, Some(connection)),
            Err(outcome) => (Answer::none(outcome), None),
        }
    }

    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<(Answer, Connection), Outcome> {
        // Lets idle connections notice that they were closed, before one of them is used.
        yield_now().await;
        while let Some(mut connection) = self.connections.take() {
            match connection.requests.try_send_request(request).await {
                Ok(response) => return self.read(response, connection).await,
                // Closed before anything was written to it: the request was not sent yet, so this is no
                // retry.
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Outcome::of_exchange_error(failed.error())),
                },
            }
        }
        let mut connection = self.connections.open().await?;
        match connection.requests.send_request(request).await {
            Ok(response) => self.read(response, connection).await,
            Err(error) => Err(Outcome::of_exchange_error(&error)),
        }
    }

    /// Reads an answer to its end, the moment at which the user has it.
    async fn read(
        &self,
        response: Response<Incoming>,
        connection: Connection,
    ) -> Result<(Answer, Connection), Outcome> {
        let (head, mut body) = response.into_parts();
        let mut kept = Vec::new();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Outcome::of_exchange_error(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            length += data.len();
            if length > Self::ANSWER_MAX {
                return Err(Outcome::Malformed);
            }
            if self.keeps_bodies {
                kept.extend_from_slice(data);
            }
        }
        let outcome = Outcome::of_answer(head.status, &head.headers);
        let wanted = self.contains.as_deref();
        let wrong = outcome.is_success() && wanted.is_some_and(|wanted| !contains(&kept, wanted));
        let served_by = served_by(&head.headers);
        let answer = Answer {
            outcome: if wrong { Outcome::Wrong } else { outcome },
            status: head.status.as_u16(),
            served_by: served_by.map(str::to_owned),
            cache: CacheMark::of(&head.headers),
            headers: head.headers,
            body: kept,
        };
        Ok((answer, connection))
    }
}

/// The server that answered: as its balancer names it, or as it names itself if the balancer does not or only
/// knows its address.
fn served_by(headers: &HeaderMap) -> Option<&str> {
    let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (balancer, server) = (named("x-served-by"), named("x-web"));
    let is_name = |name: &&str| name.parse::<SocketAddr>().is_err();
    balancer.filter(is_name).or(server).or(balancer)
}

fn contains(text: &[u8], wanted: &str) -> bool {
    String::from_utf8_lossy(text).contains(wanted)
}

impl Answer {
    fn none(outcome: Outcome) -> Self {
        let (cache, headers) = (CacheMark::None, HeaderMap::new());
        Self { outcome, status: 0, served_by: None, cache, headers, body: vec![] }
    }
}
