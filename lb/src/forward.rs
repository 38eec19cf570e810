//! The life of a request: it is checked, an upstream is chosen for it, it is passed on, perhaps it
//! is tried again with another upstream, and the answer is passed back. Whatever goes wrong on the
//! way becomes an answer of the balancer's own.
//!
//! It all happens in the task that reads the client's connection. Nothing here knows how an
//! upstream is chosen, what makes one healthy, or what may be tried again.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::choose::Tried;
use crate::choose::sticky::{self, Token};
use crate::client::Client;
use crate::download::{self, Download, NoAnswer, Passed};
use crate::headers::{self, Farewell, Passport};
use crate::refusal::Refusal;
use crate::retry;
use crate::shortage::Shortage;
use crate::stream;
use crate::tunnel::tunnel;
use crate::upload::{Upload, UploadFault};
use crate::upstream::connection::Connection;
use crate::upstream::{InFlight, Outcome, Upstream};
use crate::watchdog::Phase;
use crate::wire::{AnswerHead, Fields, Known, RequestBody, RequestHead, Verb};

const SWITCHING_PROTOCOLS: u16 = 101;

/// A request whose head has come in.
#[derive(Debug)]
pub struct Request<'a> {
    /// Whose it is.
    pub client: &'a Client,
    /// Where it comes from, and its answer goes to.
    pub stream: &'a mut TcpStream,
    /// What has come after its head.
    pub inbox: &'a mut Vec<u8>,
    /// Its head.
    pub head: &'a RequestHead,
    /// Room for the lines of its answer's head.
    pub fields: &'a mut Fields,
}

/// What becomes of a client's connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It waits for the next one.
    Next,
    /// It is closed.
    Close,
    /// It is closed when the client has had time to read its answer: some of its request is unread.
    Linger,
    /// It is broken off: the client sees that from what is missing.
    Cut,
    /// It is reset: there is nothing else that the client could see it from.
    Reset,
}

/// What a request keeps through all its tries.
struct Journey {
    upload: Upload,
    id: [u8; 32],
    /// The cookie that names an upstream.
    token: Option<Token>,
    /// The cookies without it, when it was among them.
    cookies: Option<Vec<u8>>,
    /// True when the client has seen anything of an answer, so that nothing is tried again.
    has_passed: bool,
    told_to_continue: bool,
}

/// Why a try came to nothing.
enum Failure {
    /// There was no answer; whose fault that is.
    Refused(Refusal),
    /// The upstream had closed a connection that waited, in the very moment it was used.
    Stale,
    /// The client is no longer there to be answered.
    ClientGone,
}

/// Answers a request, whatever happens.
pub async fn forward(request: &mut Request<'_>) -> After {
    let client = request.client;
    if !client.worker.may_answer() {
        return After::Cut;
    }
    client.watch.enter(Phase::Waiting);
    client.unread.set(request.head.body != RequestBody::None);
    if request.head.forwards_left() == Some(0) {
        return answer_for_the_last(request).await;
    }
    let mut upload = match Upload::of(request.head, client.worker.config.limits.body_bytes) {
        Ok(upload) => upload,
        Err(refusal) => return refuse(request, refusal, true).await,
    };
    let keeps_body = client.worker.config.tolerance.retry.keeps_body(request.head);
    if keeps_body && let Err(fault) = keep(request, &mut upload).await {
        return refuse_or_cut(request, fault.into(), false).await;
    }
    let binds = client.worker.config.sticky.is_some();
    let lines = || request.head.fields.values(Known::Cookie, request.head.bytes());
    let taken = binds.then(|| sticky::take(lines())).flatten();
    let (token, cookies) = taken.map_or((None, None), |(token, cookies)| (token, Some(cookies)));
    let id = client.worker.new_request_id();
    let mut journey = Journey { upload, id, token, cookies, has_passed: false, told_to_continue: keeps_body };
    match travel(request, &mut journey).await {
        Ok(after) => after,
        Err(Failure::Refused(refusal)) => {
            let whole = journey.upload.is_complete();
            refuse(request, refusal, !whole).await
        }
        Err(Failure::Stale | Failure::ClientGone) => After::Cut,
    }
}

/// Tries one upstream, and perhaps others.
async fn travel(request: &mut Request<'_>, journey: &mut Journey) -> Result<After, Failure> {
    let worker = &request.client.worker;
    let mut tried = Tried::default();
    let entered = worker.choose(journey.token.as_ref(), &mut tried);
    let mut in_flight = entered.ok_or(Failure::Refused(Refusal::NoUpstream))?;
    worker.budget.deposit();
    let mut retries = 0;
    loop {
        match send(request, journey, &mut in_flight).await {
            Err(Failure::Refused(refusal)) => {
                retries += 1;
                in_flight = try_elsewhere(request, journey, in_flight, refusal, retries, &mut tried).await?;
            }
            other => return other,
        }
    }
}

/// Chooses another upstream for a request that failed, if it may be tried again.
async fn try_elsewhere(
    request: &Request<'_>,
    journey: &Journey,
    mut failed: InFlight,
    refusal: Refusal,
    retry: u32,
    tried: &mut Tried,
) -> Result<InFlight, Failure> {
    let worker = &request.client.worker;
    failed.outcome = match refusal {
        // What was left of the request's time was less than an upstream may take.
        Refusal::UpstreamTimeout if request.client.watch.was_cut_short() => Outcome::Local,
        refusal => refusal.outcome(),
    };
    let upstream = Arc::clone(&failed.upstream);
    tried.note(upstream.id);
    drop(failed);

    let refused = Failure::Refused(refusal);
    let nobody_saw_it = refusal.came_before_the_request();
    let repeatable = journey.may_be_repeated(request.head) || nobody_saw_it && journey.upload.is_whole();
    let allowed = retry <= worker.config.tolerance.retry.retries && refusal.may_go_better_elsewhere();
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
    tracing::debug!(from = upstream.name, to = next.upstream.name, code = refusal.code(), "trying elsewhere");
    Ok(next)
}

/// Gets an answer, and passes it on: over a connection that waits, or else over a new one.
///
/// The upstream may have closed a waiting connection in the very moment it is used. A request that
/// it may see twice is then sent once more, over a new connection to the same upstream. This is not
/// a retry of a failed request: nothing has failed yet.
async fn send(
    request: &mut Request<'_>,
    journey: &mut Journey,
    in_flight: &mut InFlight,
) -> Result<After, Failure> {
    if let Some(connection) = request.client.worker.connections.take(&in_flight.upstream) {
        match exchange(request, journey, in_flight, connection, true).await {
            Err(Failure::Stale) => {}
            other => return other,
        }
    }
    let connection = connect(request.client, &in_flight.upstream).await.map_err(Failure::Refused)?;
    exchange(request, journey, in_flight, connection, false).await
}

async fn connect(client: &Client, upstream: &Upstream) -> Result<Connection, Refusal> {
    let worker = &client.worker;
    let mut opened = open(client, upstream).await;
    if let Err(Refusal::LocalShortage(Shortage::Files)) = opened {
        // Connections that only wait hold files that this one needs, here and on the other threads.
        worker.shortages.ask_for_files();
        worker.connections.close_all();
        opened = open(client, upstream).await;
    }
    if let Err(Refusal::LocalShortage(Shortage::Files)) = opened {
        sleep(2 * worker.watchdog.tick()).await;
        opened = open(client, upstream).await;
    }
    if let Err(Refusal::LocalShortage(shortage)) = opened {
        worker.shortages.note(shortage, &format!("connect to {}", upstream.name));
    }
    opened
}

async fn open(client: &Client, upstream: &Upstream) -> Result<Connection, Refusal> {
    let worker = &client.worker;
    match timeout(worker.config.timeouts.connect, Connection::open(&upstream.way)).await {
        Ok(Ok(connection)) if worker.may_use_file(&connection.stream) => Ok(connection),
        Ok(Ok(_)) => Err(Refusal::LocalShortage(Shortage::Files)),
        Ok(Err(error)) => {
            tracing::debug!(upstream = upstream.name, %error, "cannot connect");
            Err(Refusal::without_connection(&error, upstream.way.current()))
        }
        Err(_) if !upstream.way.is_known() => Err(Refusal::NameUnknown),
        Err(_) => {
            tracing::debug!(upstream = upstream.name, "cannot connect in time");
            Err(Refusal::ConnectTimeout)
        }
    }
}

/// Sends a request over a connection, and passes its answer on.
async fn exchange(
    request: &mut Request<'_>,
    journey: &mut Journey,
    in_flight: &mut InFlight,
    mut connection: Connection,
    was_waiting: bool,
) -> Result<After, Failure> {
    let buffers = &request.client.worker.buffers;
    let mut papers = Papers { up: buffers.take(), inbox: Vec::new(), down: buffers.take() };
    let done = exchange_with(request, journey, in_flight, &mut connection, was_waiting, &mut papers).await;
    let surplus = !papers.inbox.is_empty();
    if surplus && connection.was_denied_a_body {
        in_flight.upstream.note_forbidden_body();
    }
    for buffer in [&mut papers.up, &mut papers.inbox, &mut papers.down] {
        buffers.give_back(buffer);
    }
    let Done { after, reusable } = done?;
    if reusable && !surplus {
        let worker = &request.client.worker;
        worker.connections.put(&in_flight.upstream, connection, worker.watchdog.now());
    }
    Ok(after)
}

/// What is on its way.
struct Papers {
    /// To the upstream.
    up: Vec<u8>,
    /// From the upstream, and not yet passed on.
    inbox: Vec<u8>,
    /// To the client.
    down: Vec<u8>,
}

struct Done {
    after: After,
    reusable: bool,
}

/// What was answered.
enum Answered {
    /// An answer, that was passed on as far as it came. The client was told that its connection is
    /// kept, or that it is not.
    Passed { answer: AnswerHead, passed: Passed, kept: bool },
    /// From here on both sides speak another protocol.
    Switched(AnswerHead),
}

/// Why nothing was answered.
enum Trouble {
    Upstream(NoAnswer),
    Client(UploadFault),
}

/// Sends a request, passes its answer on, and judges how that went.
async fn exchange_with(
    request: &mut Request<'_>,
    journey: &mut Journey,
    in_flight: &mut InFlight,
    connection: &mut Connection,
    was_waiting: bool,
    papers: &mut Papers,
) -> Result<Done, Failure> {
    let (client, head) = (request.client, request.head);
    let passport = Passport {
        forwarded_for: client.forwarded_for.as_bytes(),
        hearsay: client.worker.config.hearsay,
        host: in_flight.upstream.host.as_bytes(),
        id: own_id(head).unwrap_or(&journey.id),
        cookies: journey.cookies.as_deref(),
        body: journey.upload.framing(),
        expects_continue: head.expects_continue && !journey.told_to_continue,
    };
    headers::write_request(head, &passport, &mut papers.up);
    // It may have been frozen since the last look, and another balancer be on duty by now.
    if !client.worker.may_answer() {
        return Err(Failure::ClientGone);
    }
    match converse(request, journey, &in_flight.upstream, connection, papers).await {
        Ok(Answered::Passed { answer, passed: Passed::Whole, kept }) => {
            in_flight.outcome = Outcome::answered(answer.status);
            let after = match (journey.upload.is_complete(), kept) {
                (true, true) => After::Next,
                (true, false) => After::Close,
                (false, _) => After::Linger,
            };
            connection.was_denied_a_body = answer.speaks_of_body;
            let trusted = !answer.speaks_of_body || !in_flight.upstream.sends_forbidden_bodies();
            // What is unsent of a body would be missing from it, and the next head taken for it.
            Ok(Done { after, reusable: answer.keep_alive && trusted && journey.upload.is_sent() })
        }
        Ok(Answered::Passed { answer, passed: Passed::Cut(outcome), .. }) => {
            tracing::debug!(upstream = in_flight.upstream.name, ?outcome, "an answer broke off");
            in_flight.outcome = outcome;
            let unseen = download::ends_with_connection(head, &answer);
            Ok(Done { after: if unseen { After::Reset } else { After::Cut }, reusable: false })
        }
        Ok(Answered::Switched(answer)) => {
            in_flight.outcome = Outcome::Success;
            switch(request, connection, &answer, &mut papers.inbox).await;
            Ok(Done { after: After::Close, reusable: false })
        }
        Err(Trouble::Client(fault)) => Err(fault.into()),
        Err(Trouble::Upstream(no_answer)) => Err(journey.failure(request, in_flight, no_answer, was_waiting)),
    }
}

/// Sends a request, whose head is among the papers, and at the same time reads what is answered and
/// passes it on.
async fn converse(
    request: &mut Request<'_>,
    journey: &mut Journey,
    upstream: &Upstream,
    connection: &mut Connection,
    Papers { up, inbox, down }: &mut Papers,
) -> Result<Answered, Trouble> {
    let (client, head) = (request.client, request.head);
    let (mut from_client, mut to_client) = request.stream.split();
    let (mut from_upstream, mut to_upstream) = connection.stream.split();
    let mut sending =
        pin!(journey.upload.send(client, &mut from_client, request.inbox, &mut to_upstream, up));
    let mut download = Download {
        client,
        request: head,
        inbox,
        fields: &mut *request.fields,
        out: down,
        told_to_continue: &mut journey.told_to_continue,
        has_passed: &mut journey.has_passed,
    };
    let reading = download.head(&mut from_upstream, &mut to_client);
    let answer = beside(sending.as_mut(), reading).await.map_err(Trouble::Client)?;
    let answer = answer.map_err(Trouble::Upstream)?;
    if answer.status == SWITCHING_PROTOCOLS {
        return Ok(Answered::Switched(answer));
    }
    let waits_to_be_told = head.expects_continue && !*download.told_to_continue;
    let kept =
        keeps(client, head, &answer) && !(client.unread.get() && (waits_to_be_told || answer.status >= 400));
    let farewell = Farewell {
        served_by: upstream.served_by.as_bytes(),
        id: own_id(head).unwrap_or(&journey.id),
        date: &client.worker.date(),
        set_cookie: set_cookie(upstream, journey.token.as_ref()),
        framing: download::framing(head, &answer),
        connection: download::persistence(head, kept),
    };
    if !client.worker.may_answer() {
        return Err(Trouble::Upstream(NoAnswer::ClientGone));
    }
    client.watch.enter(Phase::Download);
    let passing = download.pass(&answer, &farewell, &mut from_upstream, &mut to_client);
    let passed = beside(sending.as_mut(), passing).await;
    // A client that breaks off its request breaks off its answer.
    Ok(Answered::Passed { answer, passed: passed.unwrap_or(Passed::Cut(Outcome::Abandoned)), kept })
}

/// Tells the client that the protocol is switched, and passes bytes from then on.
async fn switch(
    request: &mut Request<'_>,
    connection: &mut Connection,
    head: &AnswerHead,
    inbox: &mut Vec<u8>,
) {
    let client = request.client;
    let mut said = Vec::new();
    let protocol = request.fields.values(Known::Upgrade, inbox).next().map(<[u8]>::to_vec);
    headers::write_interim(head, request.fields, inbox, protocol.as_deref(), &mut said);
    stream::consume(inbox, head.length);
    client.watch.enter(Phase::Tunnel);
    if client.worker.may_answer() && stream::write_all(request.stream, &said, &client.watch).await.is_ok() {
        tunnel(client, request.stream, request.inbox, &mut connection.stream, inbox).await;
    }
}

/// Waits for the body of a request that may have to be sent again.
async fn keep(request: &mut Request<'_>, upload: &mut Upload) -> Result<(), UploadFault> {
    let (mut from, mut to) = request.stream.split();
    if request.head.expects_continue {
        let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
        stream::write_all(&mut to, go_on, &request.client.watch).await.map_err(|_| UploadFault::Gone)?;
    }
    upload.keep(request.client, &mut from, request.inbox).await
}

/// Does one thing beside another, which settles the matter unless the first has a fault.
async fn beside<T>(
    mut side: Pin<&mut impl Future<Output = UploadFault>>,
    main: impl Future<Output = T>,
) -> Result<T, UploadFault> {
    let mut main = pin!(main);
    poll_fn(|context| {
        if let Poll::Ready(fault) = side.as_mut().poll(context) {
            return Poll::Ready(Err(fault));
        }
        main.as_mut().poll(context).map(Ok)
    })
    .await
}

impl From<UploadFault> for Failure {
    fn from(fault: UploadFault) -> Self {
        match fault {
            UploadFault::TooLarge => Self::Refused(Refusal::BodyTooLarge),
            UploadFault::Broken => {
                Self::Refused(Refusal::BadRequest("the request's body broke off or is malformed"))
            }
            UploadFault::TooSlow => Self::Refused(Refusal::ClientTooSlow),
            UploadFault::Gone => Self::ClientGone,
        }
    }
}

/// The request's id as its client gave it, when that is a proper one.
fn own_id(head: &RequestHead) -> Option<&[u8]> {
    head.fields.values(Known::XRequestId, head.bytes()).next().filter(|id| headers::is_request_id(id))
}

fn set_cookie<'a>(upstream: &'a Upstream, shown: Option<&Token>) -> Option<&'a [u8]> {
    let pin = upstream.pin.as_ref()?;
    let is_bound = shown.is_some_and(|token| token.equals(&pin.token));
    (!is_bound).then_some(pin.set_cookie.as_bytes())
}

/// Whether the client's connection is kept after this answer, as far as can be told when it begins.
fn keeps(client: &Client, request: &RequestHead, answer: &AnswerHead) -> bool {
    request.keep_alive
        && client.worker.vitals.is_fit()
        && !client.watch.is_leaving()
        && !download::ends_with_connection(request, answer)
}

impl Journey {
    /// Only a safe method without a body may be sent twice, or one whose body has been kept for that.
    fn may_be_repeated(&self, head: &RequestHead) -> bool {
        let safe = head.verb.is_safe() && self.upload.is_complete() && self.upload.is_whole();
        !self.has_passed && (safe || self.upload.is_kept())
    }

    /// The same for a connection that was closed while it waited: most likely nobody saw the request,
    /// and to do twice what is idempotent is to do it once (RFC 9110, 9.2.2).
    fn may_be_sent_anew(&self, head: &RequestHead) -> bool {
        let idempotent = head.verb.is_idempotent() && head.body == RequestBody::None;
        !self.has_passed && idempotent || self.may_be_repeated(head)
    }

    /// Whose fault it is that there is no answer, and so which answer the client gets.
    fn failure(
        &self,
        request: &Request<'_>,
        in_flight: &InFlight,
        no_answer: NoAnswer,
        was_waiting: bool,
    ) -> Failure {
        tracing::debug!(upstream = in_flight.upstream.name, ?no_answer, "no answer");
        match no_answer {
            NoAnswer::ClientGone => Failure::ClientGone,
            NoAnswer::Closed if was_waiting && self.may_be_sent_anew(request.head) => Failure::Stale,
            NoAnswer::TooLate if request.client.watch.phase() == Phase::Upload => {
                Failure::Refused(Refusal::ClientTooSlow)
            }
            NoAnswer::TooLate => Failure::Refused(Refusal::UpstreamTimeout),
            NoAnswer::TooLarge => Failure::Refused(Refusal::AnswerTooLarge),
            NoAnswer::Closed | NoAnswer::Broken(_) => Failure::Refused(Refusal::BadAnswer),
        }
    }
}

async fn refuse_or_cut(request: &mut Request<'_>, failure: Failure, whole: bool) -> After {
    match failure {
        Failure::Refused(refusal) => refuse(request, refusal, !whole).await,
        Failure::Stale | Failure::ClientGone => After::Cut,
    }
}

/// Answers a request that could not be passed on. What is unread of it would be taken for the next
/// one, so the connection is closed then.
pub async fn refuse(request: &mut Request<'_>, refusal: Refusal, is_unread: bool) -> After {
    let client = request.client;
    client.worker.refused.count(refusal);
    let closes = is_unread && request.head.body != RequestBody::None
        || refusal.casts_doubt_on_the_rest()
        || !request.head.keep_alive
        || !client.worker.vitals.is_fit();
    let persistence = download::persistence(request.head, !closes);
    let answer = refusal.raw_answer(&client.worker.date(), persistence, request.head.verb == Verb::Head);
    say(request, &answer, if closes { After::Linger } else { After::Next }).await
}

/// A request that may pass no further intermediary is answered by this one (RFC 9110, 7.6.2).
async fn answer_for_the_last(request: &mut Request<'_>) -> After {
    let closes = request.head.body != RequestBody::None || !request.head.keep_alive;
    let persistence = download::persistence(request.head, !closes);
    let answer = Refusal::options(&request.client.worker.date(), persistence);
    say(request, &answer, if closes { After::Linger } else { After::Next }).await
}

async fn say(request: &mut Request<'_>, answer: &[u8], after: After) -> After {
    let client = request.client;
    client.watch.enter(Phase::Download);
    if !client.worker.may_answer() {
        return After::Cut;
    }
    match stream::write_all(request.stream, answer, &client.watch).await {
        Ok(()) => after,
        Err(_) => After::Cut,
    }
}
