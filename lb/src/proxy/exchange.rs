//! One exchange: sends a request to one upstream over one connection, and streams its response back. The
//! outcome is recorded for the upstream's passive health check.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::time::{sleep, timeout};

use super::attempt::{Failure, ForwardState};
use super::client::Client;
use super::download::{self, Download, NoAnswer, Passed};
use super::headers::{self, RequestRewrite, ResponseRewrite};
use super::local_reply::LocalReply;
use super::request::{After, Request};
use super::stream;
use super::tunnel::tunnel;
use super::upload::UploadFault;
use super::watchdog::Phase;
use crate::choose::sticky::Token;
use crate::shortage::Shortage;
use crate::upstream::connection::Connection;
use crate::upstream::{InFlight, Outcome, Upstream};
use crate::wire::{AnswerHead, KnownHeader, RequestHead};

const SWITCHING_PROTOCOLS: u16 = 101;

/// Sends a request and passes its response on: over an idle connection from the pool, or else a new one.
///
/// The upstream may close an idle connection at the very moment it is reused. A request that is safe to
/// repeat is then sent again over a new connection to the same upstream. This does not count as a retry:
/// the upstream has not failed.
pub(super) async fn send(
    request: &mut Request<'_>,
    state: &mut ForwardState,
    in_flight: &mut InFlight,
) -> Result<After, Failure> {
    if let Some(connection) = request.client.worker.connections.take(&in_flight.upstream) {
        match exchange(request, state, in_flight, connection, true).await {
            Err(Failure::Stale) => {}
            other => return other,
        }
    }
    let connection = connect(request.client, &in_flight.upstream).await.map_err(Failure::Refused)?;
    exchange(request, state, in_flight, connection, false).await
}

async fn connect(client: &Client, upstream: &Upstream) -> Result<Connection, LocalReply> {
    let worker = &client.worker;
    let mut opened = open(client, upstream).await;
    if let Err(LocalReply::LocalShortage(Shortage::Files)) = opened {
        // Idle connections hold files that this one needs, on this thread and on the others.
        worker.shortages.ask_for_files();
        worker.connections.close_all();
        opened = open(client, upstream).await;
    }
    if let Err(LocalReply::LocalShortage(Shortage::Files)) = opened {
        sleep(2 * worker.watchdog.tick()).await;
        opened = open(client, upstream).await;
    }
    if let Err(LocalReply::LocalShortage(shortage)) = opened {
        worker.shortages.note(shortage, &format!("connect to {}", upstream.name));
    }
    opened
}

async fn open(client: &Client, upstream: &Upstream) -> Result<Connection, LocalReply> {
    let worker = &client.worker;
    match timeout(worker.config.timeouts.connect, Connection::open(&upstream.way)).await {
        Ok(Ok(connection)) if worker.may_use_file(&connection.stream) => Ok(connection),
        Ok(Ok(_)) => Err(LocalReply::LocalShortage(Shortage::Files)),
        Ok(Err(error)) => {
            tracing::debug!(upstream = upstream.name, %error, "cannot connect");
            Err(LocalReply::without_connection(&error, upstream.way.current()))
        }
        Err(_) if !upstream.way.is_known() => Err(LocalReply::NameUnknown),
        Err(_) => {
            tracing::debug!(upstream = upstream.name, "cannot connect in time");
            Err(LocalReply::ConnectTimeout)
        }
    }
}

/// Sends a request over the given connection, and returns the connection to the pool if it can be reused.
async fn exchange(
    request: &mut Request<'_>,
    state: &mut ForwardState,
    in_flight: &mut InFlight,
    mut connection: Connection,
    was_waiting: bool,
) -> Result<After, Failure> {
    let spare = &request.client.worker.buffers;
    let mut buffers =
        ExchangeBuffers { request: spare.take(), response_in: Vec::new(), response_out: spare.take() };
    let done = exchange_with(request, state, in_flight, &mut connection, was_waiting, &mut buffers).await;
    let surplus = !buffers.response_in.is_empty();
    if surplus && connection.was_denied_a_body {
        in_flight.upstream.note_forbidden_body();
    }
    for buffer in [&mut buffers.request, &mut buffers.response_in, &mut buffers.response_out] {
        spare.give_back(buffer);
    }
    let Done { after, reusable } = done?;
    if reusable && !surplus {
        let worker = &request.client.worker;
        worker.connections.put(&in_flight.upstream, connection, worker.watchdog.now());
    }
    Ok(after)
}

/// The buffers of one exchange.
struct ExchangeBuffers {
    /// Bytes of the request, on their way to the upstream.
    request: Vec<u8>,
    /// Bytes received from the upstream that have not been passed on.
    response_in: Vec<u8>,
    /// Bytes of the response, on their way to the client.
    response_out: Vec<u8>,
}

struct Done {
    after: After,
    reusable: bool,
}

/// How the upstream answered.
enum Answered {
    /// A response, passed on as far as it was received. `kept` is what the client was told: whether its
    /// connection stays open.
    Passed { answer: AnswerHead, passed: Passed, kept: bool },
    /// The upstream agreed to switch protocols (status 101).
    Switched(AnswerHead),
}

/// Why there is no response.
enum Trouble {
    Upstream(NoAnswer),
    Client(UploadFault),
}

/// Sends a request, passes its response on, and records the outcome.
async fn exchange_with(
    request: &mut Request<'_>,
    state: &mut ForwardState,
    in_flight: &mut InFlight,
    connection: &mut Connection,
    was_waiting: bool,
    buffers: &mut ExchangeBuffers,
) -> Result<Done, Failure> {
    let (client, head) = (request.client, request.head);
    let traceparent = state.hop.as_ref().map(|hop| hop.context().header());
    let rewrite = RequestRewrite {
        forwarded_for: client.forwarded_for.as_bytes(),
        forwarded: client.worker.config.forwarded,
        host: in_flight.upstream.host.as_bytes(),
        id: own_id(head).unwrap_or(&state.id),
        traceparent: traceparent.as_deref().map(str::as_bytes),
        cookies: state.cookies.as_deref(),
        body: state.upload.framing(),
        expects_continue: head.expects_continue && !state.told_to_continue,
    };
    headers::write_request(head, &rewrite, &mut buffers.request);
    // The process may have been frozen since the last check, and the peer may hold the address by now.
    if !client.worker.may_answer() {
        return Err(Failure::ClientGone);
    }
    match converse(request, state, &in_flight.upstream, connection, buffers).await {
        Ok(Answered::Passed { answer, passed: Passed::Whole, kept }) => {
            in_flight.outcome = Outcome::answered(answer.status);
            let after = match (state.upload.is_complete(), kept) {
                (true, true) => After::Next,
                (true, false) => After::Close,
                (false, _) => After::Linger,
            };
            connection.was_denied_a_body = answer.speaks_of_body;
            let trusted = !answer.speaks_of_body || !in_flight.upstream.sends_forbidden_bodies();
            // If part of the body is unsent, the upstream would take the next head for that missing part.
            Ok(Done { after, reusable: answer.keep_alive && trusted && state.upload.is_sent() })
        }
        Ok(Answered::Passed { answer, passed: Passed::Cut(outcome), .. }) => {
            tracing::debug!(upstream = in_flight.upstream.name, ?outcome, "an answer broke off");
            in_flight.outcome = outcome;
            let unseen = download::ends_with_connection(head, &answer);
            Ok(Done { after: if unseen { After::Reset } else { After::Cut }, reusable: false })
        }
        Ok(Answered::Switched(answer)) => {
            in_flight.outcome = Outcome::Success;
            switch(request, connection, &answer, &mut buffers.response_in).await;
            Ok(Done { after: After::Close, reusable: false })
        }
        Err(Trouble::Client(fault)) => Err(fault.into()),
        Err(Trouble::Upstream(no_answer)) => Err(state.failure(request, in_flight, no_answer, was_waiting)),
    }
}

/// Sends a request, whose head is in the buffers, while reading the response and passing it on.
async fn converse(
    request: &mut Request<'_>,
    state: &mut ForwardState,
    upstream: &Upstream,
    connection: &mut Connection,
    ExchangeBuffers { request: up, response_in: inbox, response_out: down }: &mut ExchangeBuffers,
) -> Result<Answered, Trouble> {
    let (client, head) = (request.client, request.head);
    let (mut from_client, mut to_client) = request.stream.split();
    let (mut from_upstream, mut to_upstream) = connection.stream.split();
    let mut sending = pin!(state.upload.send(client, &mut from_client, request.inbox, &mut to_upstream, up));
    let mut download = Download {
        client,
        request: head,
        inbox,
        fields: &mut *request.fields,
        out: down,
        told_to_continue: &mut state.told_to_continue,
        has_passed: &mut state.has_passed,
    };
    let reading = download.head(&mut from_upstream, &mut to_client);
    let answer = with_concurrent_upload(sending.as_mut(), reading).await.map_err(Trouble::Client)?;
    let answer = answer.map_err(Trouble::Upstream)?;
    if answer.status == SWITCHING_PROTOCOLS {
        return Ok(Answered::Switched(answer));
    }
    let waits_to_be_told = head.expects_continue && !*download.told_to_continue;
    let kept =
        keeps(client, head, &answer) && !(client.unread.get() && (waits_to_be_told || answer.status >= 400));
    let rewrite = ResponseRewrite {
        served_by: upstream.served_by.as_bytes(),
        id: own_id(head).unwrap_or(&state.id),
        date: &client.worker.date(),
        set_cookie: set_cookie(upstream, state.token.as_ref()),
        framing: download::framing(head, &answer),
        connection: download::persistence(head, kept),
    };
    if !client.worker.may_answer() {
        return Err(Trouble::Upstream(NoAnswer::ClientGone));
    }
    client.watch.enter(Phase::Download);
    let passing = download.pass(&answer, &rewrite, &mut from_upstream, &mut to_client);
    let passed = with_concurrent_upload(sending.as_mut(), passing).await;
    // A client that breaks off its request also gives up its response.
    Ok(Answered::Passed { answer, passed: passed.unwrap_or(Passed::Cut(Outcome::Abandoned)), kept })
}

/// Passes the 101 response to the client, then copies bytes in both directions.
async fn switch(
    request: &mut Request<'_>,
    connection: &mut Connection,
    head: &AnswerHead,
    inbox: &mut Vec<u8>,
) {
    let client = request.client;
    let mut said = Vec::new();
    let protocol = request.fields.values(KnownHeader::Upgrade, inbox).next().map(<[u8]>::to_vec);
    headers::write_interim(head, request.fields, inbox, protocol.as_deref(), &mut said);
    stream::consume(inbox, head.length);
    client.watch.enter(Phase::Tunnel);
    if client.worker.may_answer() && stream::write_all(request.stream, &said, &client.watch).await.is_ok() {
        tunnel(client, request.stream, request.inbox, &mut connection.stream, inbox).await;
    }
}

/// Reads a response while the request is still being sent. An upload fault ends both.
async fn with_concurrent_upload<T>(
    mut upload: Pin<&mut impl Future<Output = UploadFault>>,
    answer: impl Future<Output = T>,
) -> Result<T, UploadFault> {
    let mut answer = pin!(answer);
    poll_fn(|context| {
        if let Poll::Ready(fault) = upload.as_mut().poll(context) {
            return Poll::Ready(Err(fault));
        }
        answer.as_mut().poll(context).map(Ok)
    })
    .await
}

/// Returns the client's own request id, if it is valid.
fn own_id(head: &RequestHead) -> Option<&[u8]> {
    head.fields.values(KnownHeader::XRequestId, head.bytes()).next().filter(|id| headers::is_request_id(id))
}

fn set_cookie<'a>(upstream: &'a Upstream, shown: Option<&Token>) -> Option<&'a [u8]> {
    let pin = upstream.pin.as_ref()?;
    let is_bound = shown.is_some_and(|token| token.equals(&pin.token));
    (!is_bound).then_some(pin.set_cookie.as_bytes())
}

/// Returns whether the client's connection will be kept, as far as is known when the response begins.
fn keeps(client: &Client, request: &RequestHead, answer: &AnswerHead) -> bool {
    request.keep_alive
        && client.worker.vitals.is_fit()
        && !client.watch.is_leaving()
        && !download::ends_with_connection(request, answer)
}
