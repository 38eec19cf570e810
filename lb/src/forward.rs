//! The life of a request: it is checked, an upstream is chosen for it, it is passed on, perhaps it
//! is tried again with another upstream, and the answer is passed back. Whatever goes wrong on the
//! way becomes an answer of the balancer's own.
//!
//! It all happens in the task that reads the client's connection. Nothing here knows how an
//! upstream is chosen, what makes one healthy, or what may be tried again.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{CONNECTION, HOST, SET_COOKIE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use tokio::time::{sleep, timeout};

use crate::answer::Answer;
use crate::choose::Tried;
use crate::choose::sticky::{self, Token};
use crate::client::Client;
use crate::headers::{self, Passport};
use crate::refusal::Refusal;
use crate::retry;
use crate::strict;
use crate::upload::Upload;
use crate::upstream::connection::{Connection, NoAnswer};
use crate::upstream::{InFlight, Upstream};
use crate::watchdog::Phase;

/// Answers a request, whatever happens.
pub async fn forward(client: Rc<Client>, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
    let has_body = !request.body().is_end_stream();
    client.watch.enter(if has_body { Phase::Upload } else { Phase::Waiting });
    let mut answer = match answer(&client, request).await {
        Ok(answer) => answer,
        Err(refusal) => refuse(&client, refusal, has_body),
    };
    if !client.worker.vitals.is_fit() {
        // On the way out: the client had better open its next connection elsewhere.
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}

async fn answer(client: &Rc<Client>, request: Request<Incoming>) -> Result<Response<Answer>, Refusal> {
    let worker = &client.worker;
    let (mut head, body) = request.into_parts();
    client.look_at_raw_head(|raw| strict::check(&head, raw, worker.config.limits.header_bytes))?;
    if body.size_hint().exact().is_some_and(|length| length > worker.config.limits.body_bytes) {
        return Err(Refusal::BodyTooLarge);
    }
    let body = upload(client, &head, body).await?;
    let cookie = worker.config.sticky.as_ref().and_then(|_| sticky::take(&mut head.headers));

    let mut tried = Tried::default();
    let mut in_flight = worker.choose(cookie.as_ref(), &mut tried).ok_or(Refusal::NoUpstream)?;
    let passport = Passport { forwarded_for: &client.forwarded_for, host: &in_flight.upstream.host };
    let id = headers::prepare_request(&mut head, &passport, || worker.new_request_id());

    let mut request = Request::from_parts(head, body);
    worker.budget.deposit();
    let mut retries = 0;
    loop {
        match send(client, &in_flight.upstream, request).await {
            Ok((response, connection)) => {
                return pass_back(client, in_flight, cookie.as_ref(), response, connection, id);
            }
            Err(failure) => {
                retries += 1;
                (in_flight, request) = try_elsewhere(client, in_flight, failure, retries, &mut tried).await?;
            }
        }
    }
}

/// A request's body: to be passed on piece by piece, or all of it when it may have to be sent
/// again.
async fn upload(client: &Rc<Client>, head: &Parts, body: Incoming) -> Result<Upload, Refusal> {
    let keeps = client.worker.config.tolerance.retry.keeps_body(head, body.size_hint().exact());
    let upload = Upload::of(client, body);
    if keeps { upload.keep(&client.watch).await } else { Ok(upload) }
}

/// A request that got no answer.
struct Failure {
    refusal: Refusal,
    /// The request, when it may be sent once more: nobody has seen it, or it may be done twice.
    again: Option<Box<Request<Upload>>>,
}

/// Chooses another upstream for a request that failed, if it may be tried again.
async fn try_elsewhere(
    client: &Client,
    mut failed: InFlight,
    Failure { refusal, again }: Failure,
    retry: u32,
    tried: &mut Tried,
) -> Result<(InFlight, Request<Upload>), Refusal> {
    let worker = &client.worker;
    failed.outcome = refusal.outcome();
    let upstream = Arc::clone(&failed.upstream);
    tried.note(upstream.id);
    drop(failed);

    let allowed = retry <= worker.config.tolerance.retry.retries && refusal.is_the_upstreams();
    let mut request = again.filter(|_| allowed && client.watch.try_again()).ok_or(refusal)?;
    if !worker.budget.withdraw() {
        worker.retried.count_denied();
        return Err(refusal);
    }
    sleep(retry::pause_before(retry, worker.dice())).await;
    let next = worker.choose(None, tried).ok_or(refusal)?;
    if request.headers().get(HOST) == Some(&upstream.host) {
        // Its client named no host, and was given that of the upstream.
        request.headers_mut().insert(HOST, next.upstream.host.clone());
    }
    worker.retried.count();
    tracing::debug!(from = upstream.name, to = next.upstream.name, code = refusal.code(), "trying elsewhere");
    Ok((next, *request))
}

/// Gets the head of an answer: over a connection that waits, or else over a new one.
///
/// The upstream may have closed a waiting connection in the very moment it is used. A request that
/// it cannot have seen, or may see twice, is then sent once more, over a new connection to the
/// same upstream. This is not a retry of a failed request: nothing has failed yet.
async fn send(
    client: &Client,
    upstream: &Upstream,
    mut request: Request<Upload>,
) -> Result<(Response<Incoming>, Box<Connection>), Failure> {
    if let Some(mut connection) = client.worker.connections.take(upstream.id) {
        let spare = copy_when_repeatable(&request);
        request = match (connection.send(request, &client.watch).await, spare) {
            (Ok(response), _) => return Ok((response, connection)),
            (Err(NoAnswer::Unsent(request)), _) => *request,
            (Err(NoAnswer::Closed(_)), Some(spare)) => *spare,
            (Err(no_answer), spare) => return Err(failure(client, upstream, no_answer, spare)),
        };
    }
    let mut connection = match connect(client, upstream).await {
        Ok(connection) => connection,
        Err(refusal) => return Err(Failure { refusal, again: Some(Box::new(request)) }),
    };
    let may_retry = client.worker.config.tolerance.retry.retries > 0;
    let spare = if may_retry { copy_when_repeatable(&request) } else { None };
    match connection.send(request, &client.watch).await {
        Ok(response) => Ok((response, connection)),
        Err(no_answer) => Err(failure(client, upstream, no_answer, spare)),
    }
}

/// Only a safe method without a body may be sent twice, or one whose body has been kept for that.
fn copy_when_repeatable(request: &Request<Upload>) -> Option<Box<Request<Upload>>> {
    let kept = matches!(request.body(), Upload::Kept(_));
    if !kept && !retry::is_safe(request.method()) {
        return None;
    }
    let mut copy = Request::new(request.body().again()?);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(Box::new(copy))
}

fn failure(
    client: &Client,
    upstream: &Upstream,
    no_answer: NoAnswer,
    spare: Option<Box<Request<Upload>>>,
) -> Failure {
    let refusal = refusal(client, upstream, &no_answer);
    let again = if let NoAnswer::Unsent(request) = no_answer { Some(request) } else { spare };
    Failure { refusal, again }
}

async fn connect(client: &Client, upstream: &Upstream) -> Result<Box<Connection>, Refusal> {
    let config = &client.worker.config;
    let opening = Connection::open(&upstream.address, 2 * config.limits.header_bytes);
    match timeout(config.timeouts.connect, opening).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => {
            tracing::debug!(upstream = upstream.name, %error, "cannot connect");
            Err(Refusal::ConnectFailed)
        }
        Err(_) => {
            tracing::debug!(upstream = upstream.name, "cannot connect in time");
            Err(Refusal::ConnectTimeout)
        }
    }
}

/// Whose fault it is that there is no answer, and so which answer the client gets.
fn refusal(client: &Client, upstream: &Upstream, failure: &NoAnswer) -> Refusal {
    if let Some(fault) = client.upload_fault.take() {
        return fault.into();
    }
    tracing::debug!(upstream = upstream.name, ?failure, "no answer");
    match failure {
        NoAnswer::TooLate if client.watch.phase() == Phase::Upload => Refusal::ClientTooSlow,
        NoAnswer::TooLate => Refusal::UpstreamTimeout,
        NoAnswer::Unsent(_) | NoAnswer::Closed(_) | NoAnswer::Broken(_) => Refusal::BadAnswer,
    }
}

fn pass_back(
    client: &Rc<Client>,
    mut in_flight: InFlight,
    cookie: Option<&Token>,
    response: Response<Incoming>,
    connection: Box<Connection>,
    id: HeaderValue,
) -> Result<Response<Answer>, Refusal> {
    let (mut head, body) = response.into_parts();
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let framed = codings.next().is_none_or(strict::is_chunked) && codings.next().is_none();
    if !framed || head.status == StatusCode::SWITCHING_PROTOCOLS {
        // Nobody asked for another protocol, and a coding that is taken off unread is lost.
        in_flight.outcome = Refusal::BadAnswer.outcome();
        return Err(Refusal::BadAnswer);
    }
    headers::prepare_answer(&mut head.headers, &in_flight.upstream.served_by, id);
    if let Some(pin) = &in_flight.upstream.pin
        && cookie.is_none_or(|cookie| !cookie.equals(&pin.token))
    {
        head.headers.append(SET_COOKIE, pin.set_cookie.clone());
    }
    head.version = Version::HTTP_11;
    let body = Answer::pass(client, in_flight, head.status, connection, body);
    Ok(Response::from_parts(head, body))
}

fn refuse(client: &Client, refusal: Refusal, has_body: bool) -> Response<Answer> {
    client.worker.refused.count(refusal);
    client.watch.enter(Phase::Idle);
    let mut answer = refusal.answer();
    if has_body || refusal.casts_doubt_on_the_rest() {
        // What is left of the request would be taken for the next one.
        client.left_unread.set(has_body);
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
