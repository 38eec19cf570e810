//! The life of a request: it is checked, an upstream is chosen, the request is forwarded, perhaps
//! retried on another upstream, and the response is passed back. Every failure on the way becomes a
//! local reply.
//!
//! All of it happens in the task that reads the client's connection. This module does not know how
//! an upstream is chosen, what makes one healthy, or which requests may be retried.

use std::sync::Arc;

use machine::trace::{self, Span};
use tokio::time::sleep;

use super::attempt::{Failure, ForwardState};
use super::exchange::send;
use super::local_reply::LocalReply;
use super::request::{After, Request};
use super::respond::{answer_for_the_last, refuse};
use super::upload::{Upload, UploadFault};
use super::watchdog::Phase;
use super::{retry, stream};
use crate::choose::Tried;
use crate::choose::sticky;
use crate::upstream::{InFlight, Outcome};
use crate::wire::{KnownHeader, RequestBody, RequestHead};

/// Answers a request, with the upstream's response or a local reply.
pub async fn forward(request: &mut Request<'_>) -> After {
    let client = request.client;
    if !client.worker.may_answer() {
        return After::Cut;
    }
    let span = span_of(request.head);
    client.watch.enter(Phase::Waiting);
    client.unread.set(request.head.body != RequestBody::None);
    if request.head.forwards_left() == Some(0) {
        return answer_for_the_last(request).await;
    }
    let mut upload = match Upload::of(request.head, client.worker.config.limits.body_bytes) {
        Ok(upload) => upload,
        Err(reply) => return refuse(request, reply, true).await,
    };
    let keeps_body = client.worker.config.tolerance.retry.keeps_body(request.head);
    if keeps_body && let Err(fault) = keep(request, &mut upload).await {
        return refuse_or_cut(request, fault.into(), false).await;
    }
    let binds = client.worker.config.sticky.is_some();
    let lines = || request.head.fields.values(KnownHeader::Cookie, request.head.bytes());
    let taken = binds.then(|| sticky::take(lines())).flatten();
    let (token, cookies) = taken.map_or((None, None), |(token, cookies)| (token, Some(cookies)));
    let id = client.worker.new_request_id();
    let mut state = ForwardState {
        upload,
        id,
        span,
        hop: None,
        token,
        cookies,
        has_passed: false,
        told_to_continue: keeps_body,
    };
    match forward_with_retries(request, &mut state).await {
        Ok(after) => after,
        Err(Failure::Refused(reply)) => {
            if let Some(span) = &mut state.span {
                span.say("error", reply.code());
            }
            let whole = state.upload.is_complete();
            refuse(request, reply, !whole).await
        }
        Err(Failure::Stale | Failure::ClientGone) => After::Cut,
    }
}

/// Starts the request's span, if tracing is on.
fn span_of(head: &RequestHead) -> Option<Box<Span>> {
    if !trace::is_on() {
        return None;
    }
    let traceparent = head.fields.values(KnownHeader::Traceparent, head.bytes()).next();
    let span = Span::of_request(traceparent, || {
        let mut name = [head.method(), b" "].concat();
        head.target().write_to(&mut name);
        String::from_utf8_lossy(&name).into_owned()
    });
    span.map(Box::new)
}

/// Tries one upstream, then others for as long as a retry is allowed.
async fn forward_with_retries(request: &mut Request<'_>, state: &mut ForwardState) -> Result<After, Failure> {
    let worker = &request.client.worker;
    let mut tried = Tried::default();
    let entered = worker.choose(state.token.as_ref(), &mut tried);
    let mut in_flight = entered.ok_or(Failure::Refused(LocalReply::NoUpstream))?;
    worker.budget.deposit();
    let mut retries = 0;
    loop {
        state.begin_hop(&mut in_flight);
        let sent = send(request, state, &mut in_flight).await;
        state.end_hop(&sent, in_flight.outcome);
        match sent {
            Err(Failure::Refused(reply)) => {
                retries += 1;
                in_flight = next_upstream(request, state, in_flight, reply, retries, &mut tried).await?;
            }
            other => return other,
        }
    }
}

/// Chooses another upstream for a failed request, if it may be retried.
async fn next_upstream(
    request: &Request<'_>,
    state: &ForwardState,
    mut failed: InFlight,
    reply: LocalReply,
    retry: u32,
    tried: &mut Tried,
) -> Result<InFlight, Failure> {
    let worker = &request.client.worker;
    failed.outcome = match reply {
        // The request's time had nearly run out, so the upstream had less than a full try timeout.
        LocalReply::UpstreamTimeout if request.client.watch.was_cut_short() => Outcome::Local,
        reply => reply.outcome(),
    };
    let upstream = Arc::clone(&failed.upstream);
    tried.note(upstream.id);
    drop(failed);

    let refused = Failure::Refused(reply);
    let nobody_saw_it = reply.came_before_the_request();
    let repeatable = state.may_be_repeated(request.head) || nobody_saw_it && state.upload.is_whole();
    let allowed = retry <= worker.config.tolerance.retry.retries && reply.may_go_better_elsewhere();
    if !allowed || !repeatable || !request.client.watch.try_again() {
        return Err(refused);
    }
    if !worker.budget.withdraw() {
        worker.retried.count_denied();
        return Err(refused);
    }
    sleep(retry::pause_before(retry, worker.dice())).await;
    let Some(next) = worker.choose(None, tried) else { return Err(refused) };
    worker.retried.count();
    tracing::debug!(from = upstream.name, to = next.upstream.name, code = reply.code(), "trying elsewhere");
    Ok(next)
}

/// Reads the whole body of a request that may have to be sent again.
async fn keep(request: &mut Request<'_>, upload: &mut Upload) -> Result<(), UploadFault> {
    let (mut from, mut to) = request.stream.split();
    if request.head.expects_continue {
        let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
        stream::write_all(&mut to, go_on, &request.client.watch).await.map_err(|_| UploadFault::Gone)?;
    }
    upload.keep(request.client, &mut from, request.inbox).await
}

async fn refuse_or_cut(request: &mut Request<'_>, failure: Failure, whole: bool) -> After {
    match failure {
        Failure::Refused(reply) => refuse(request, reply, !whole).await,
        Failure::Stale | Failure::ClientGone => After::Cut,
    }
}
