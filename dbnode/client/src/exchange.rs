//! One call: a request to one node, perhaps to another one, and its answer.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use machine::names::Name;
use machine::network::Network;
use machine::trace::{self, Span};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::answer::Answer;
use super::call::{Call, Effect};
use super::connections::{Connection, Connections};
use super::error::ClientError;
use super::routing::{Met, Next, Route};
use super::types::ClientLimits;

/// Makes calls.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The nodes, as the client was given them.
    given: Arc<[Name]>,
    /// The addresses that they led to when a call last looked.
    nodes: Mutex<Arc<[SocketAddr]>>,
    network: Network,
    connections: Connections,
    limit: Duration,
    /// Who took the last call. A guess: whoever is wrong is redirected.
    primary: Mutex<Option<SocketAddr>>,
    /// Who is called what, as they said.
    names: Mutex<HashMap<String, SocketAddr>>,
    /// Whose turn it is to be asked what anybody knows.
    turn: AtomicUsize,
}

/// Which node answered.
const NODE: &str = "x-db-node";

/// More names than a cluster has nodes.
const NAMES_MAX: usize = 64;

/// How long it is before nodes that knew of no primary are asked again.
const ELECTION_PAUSE: Duration = Duration::from_millis(30);

/// Why a try brought no answer.
enum Failed {
    /// Nothing was sent.
    NotSent(io::Error),
    /// Something was sent, and then the connection broke.
    Broken { error: hyper::Error, reused: bool },
    /// The answer was too long, or broke off.
    Unreadable(Box<dyn std::error::Error + Send + Sync>),
}

impl Exchange {
    pub(super) fn new(given: Arc<[Name]>, network: Network, limits: ClientLimits) -> Self {
        let ways = Arc::clone(&given);
        let connections = Connections::new(ways, network.clone(), limits.connect, limits.idle_connections);
        Self {
            given,
            nodes: Mutex::default(),
            network,
            connections,
            limit: limits.request,
            primary: Mutex::default(),
            names: Mutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Where the nodes are now: the address in use of each that has one. Calls under way go on with what they
    /// began with.
    fn nodes(&self) -> Arc<[SocketAddr]> {
        let now = || self.given.iter().filter_map(Name::current);
        let mut nodes = self.nodes.lock();
        if !now().eq(nodes.iter().copied()) {
            *nodes = now().collect();
            self.names.lock().clear();
            self.connections.keep_only(&nodes);
        }
        Arc::clone(&nodes)
    }

    /// Why there is nobody to ask.
    fn nobody(&self) -> ClientError {
        let detail = match &*self.given {
            [] => "the list of database nodes is empty".to_owned(),
            [one, ..] => format!("the name of no database node leads anywhere; the first is '{one}'"),
        };
        ClientError::Unavailable { detail }
    }

    /// Asks until there is an answer, or no node left to ask, or no time. Writes and reads of the
    /// latest begin at the primary, if it is known.
    pub(super) async fn call(&self, call: Call) -> Result<Answer, ClientError> {
        let primary = *self.primary.lock();
        let answer = self.call_from(primary, call).await?;
        *self.primary.lock() = Some(answer.node);
        Ok(answer)
    }

    /// The same, beginning at any of them: each has its turn.
    pub(super) async fn call_any(&self, call: Call) -> Result<Answer, ClientError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let nodes = self.nodes();
        let first = turn.checked_rem(nodes.len()).map(|turn| nodes[turn]);
        self.call_from(first, call).await
    }

    /// The same, of the node with this name and no other.
    pub(super) async fn call_one(&self, name: &str, call: &Call) -> Result<Answer, ClientError> {
        let known = self.names.lock().get(name).copied();
        let mut last = ClientError::NoSuchNode { name: name.to_owned() };
        for node in known.into_iter().chain(self.nodes().iter().copied()) {
            match timeout(self.limit, self.try_node(node, call)).await {
                Ok(Ok(answer)) if answer.header(NODE) == Some(name) => return Ok(answer),
                Ok(Ok(_)) => {}
                Ok(Err(Failed::NotSent(source))) => last = ClientError::Unreachable { node, source },
                Ok(Err(failed)) => last = failed.into_error(),
                Err(_) => last = ClientError::Timeout,
            }
            if known == Some(node) {
                return Err(last);
            }
        }
        Err(last)
    }

    async fn call_from(&self, first: Option<SocketAddr>, call: Call) -> Result<Answer, ClientError> {
        let deadline = Instant::now() + self.limit;
        let nodes = self.nodes();
        let mut route = Route::new(&nodes, first);
        let mut node = route.first().ok_or_else(|| self.nobody())?;
        let mut doubt = None;
        loop {
            let until = deadline.min(Instant::now() + self.try_limit(&call));
            let (met, error) = match timeout_at(until, self.try_node(node, &call)).await {
                Ok(Ok(answer)) => {
                    match (self.redirect(&answer, deadline).await, answer.knows_no_primary()) {
                        (Some(primary), _) => (Met::Redirect(primary), answer.into_error(call.effect)),
                        (None, true) => (Met::NoPrimary, answer.into_error(call.effect)),
                        // That a later try did not happen says nothing of an earlier one.
                        (None, false) if answer.status == StatusCode::SERVICE_UNAVAILABLE => {
                            return doubt.map_or(Ok(answer), Err);
                        }
                        (None, false) => return Ok(answer),
                    }
                }
                Ok(Err(Failed::NotSent(source))) => (Met::Nobody, ClientError::Unreachable { node, source }),
                Ok(Err(failed)) => (Met::Nobody, self.unanswered(node, &call, failed.into_error())?),
                Err(_) => (Met::Nobody, self.unanswered(node, &call, ClientError::Timeout)?),
            };
            let error = doubt.unwrap_or(error);
            node = match route.after(met) {
                Next::Ask(next) => next,
                Next::Wait(next) if Instant::now() + ELECTION_PAUSE < deadline => {
                    sleep(ELECTION_PAUSE).await;
                    next
                }
                Next::Wait(_) | Next::GiveUp => return Err(error),
            };
            if Instant::now() >= deadline {
                return Err(error);
            }
            doubt = Some(error).filter(ClientError::may_have_happened);
        }
    }

    /// A call that may have arrived and has no answer may be made again when that does no harm:
    /// then this is what it comes to if nobody answers. The next call begins at another node, for
    /// one that is frozen takes connections and never answers.
    fn unanswered(
        &self,
        node: SocketAddr,
        call: &Call,
        error: ClientError,
    ) -> Result<ClientError, ClientError> {
        let nodes = self.nodes();
        let place = nodes.iter().position(|other| *other == node);
        *self.primary.lock() = place.map(|place| nodes[(place + 1) % nodes.len()]);
        let error = call.unanswered(error);
        if call.effect == Effect::EachTime { Err(error) } else { Ok(error) }
    }

    /// How long one node may take: where another may be asked instead, not the whole time.
    fn try_limit(&self, call: &Call) -> Duration {
        if self.nodes().len() > 1 && call.effect != Effect::EachTime { self.limit / 3 } else { self.limit }
    }

    /// One node. A connection that the node closed while it lay idle is replaced once, when the
    /// call was surely not seen or may be seen twice.
    async fn try_node(&self, node: SocketAddr, call: &Call) -> Result<Answer, Failed> {
        let connection = self.connections.get(node).await.map_err(Failed::NotSent)?;
        let first = match self.ask(connection, call).await {
            Err(first @ Failed::NotSent(_)) => first,
            Err(first @ Failed::Broken { reused: true, .. }) if call.effect != Effect::EachTime => first,
            outcome => return outcome,
        };
        match self.ask_anew(node, call).await {
            // That the second try did not go out says nothing about the first one.
            Err(Failed::NotSent(_)) if call.effect == Effect::Once => Err(first),
            outcome => outcome,
        }
    }

    async fn ask_anew(&self, node: SocketAddr, call: &Call) -> Result<Answer, Failed> {
        let connection = self.connections.open(node).await.map_err(Failed::NotSent)?;
        self.ask(connection, call).await
    }

    async fn ask(&self, connection: Connection, call: &Call) -> Result<Answer, Failed> {
        let span = Span::within_current(|| format!("{} database", call.method()));
        trace::within(span.as_ref(), self.send(connection, call)).await
    }

    async fn send(&self, mut connection: Connection, call: &Call) -> Result<Answer, Failed> {
        let answering = connection.requests.try_send_request(call.request(connection.node())).await;
        let response = answering.map_err(|mut failure| match failure.take_message() {
            Some(_unsent) => Failed::NotSent(io::Error::other(failure.into_error())),
            None => Failed::Broken { error: failure.into_error(), reused: connection.reused },
        })?;
        let node = connection.node();
        let answer = Answer::read(node, response).await.map_err(Failed::Unreadable)?;
        self.connections.give_back(connection);
        if let Some(name) = answer.header(NODE) {
            self.remember(name, node);
        }
        Ok(answer)
    }

    /// Where the primary is that an answer refers to: the way that is known to it, or else the one that
    /// is named.
    async fn redirect(&self, answer: &Answer, deadline: Instant) -> Option<SocketAddr> {
        let location = answer.redirect()?;
        let known = answer.primary().and_then(|name| self.names.lock().get(name).copied());
        match known {
            Some(node) => Some(node),
            None => self.locate(location, deadline).await,
        }
    }

    /// The address of a node that was named, as one of the known nodes if it is one. One that cannot be found is
    /// no help; others are asked.
    async fn locate(&self, authority: &str, deadline: Instant) -> Option<SocketAddr> {
        // Containers are called by their names, and their addresses change.
        let name = self.network.name(authority);
        let found = timeout_at(deadline, name.known()).await.ok()?.ok()?;
        let nodes = self.nodes();
        found.iter().find(|address| nodes.contains(address)).or(found.first()).copied()
    }

    fn remember(&self, name: &str, node: SocketAddr) {
        let mut names = self.names.lock();
        if names.get(name) != Some(&node) && names.len() < NAMES_MAX {
            names.insert(name.to_owned(), node);
        }
    }
}

impl Failed {
    fn into_error(self) -> ClientError {
        let detail = match self {
            Self::NotSent(error) => error.to_string(),
            Self::Broken { error, .. } => format!("the connection broke: {error}"),
            Self::Unreadable(error) => format!("the answer cannot be read: {error}"),
        };
        ClientError::Unavailable { detail }
    }
}
