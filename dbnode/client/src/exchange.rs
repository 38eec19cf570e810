//! One call: requests to one node after another, until there is an answer.

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

/// Performs calls.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The nodes, as the client was given them.
    given: Arc<[Name]>,
    /// Their addresses, as of the last call.
    nodes: Mutex<Arc<[SocketAddr]>>,
    network: Network,
    connections: Connections,
    limit: Duration,
    /// The node that answered the last call. It is a guess: if it is wrong, the node redirects.
    primary: Mutex<Option<SocketAddr>>,
    /// The nodes' addresses by name, as learned from their responses.
    names: Mutex<HashMap<String, SocketAddr>>,
    /// Round-robin counter for calls that any node can answer.
    turn: AtomicUsize,
}

/// The response header that names the node.
const NODE: &str = "x-db-node";

/// Maximum number of remembered names; more than a cluster has nodes.
const NAMES_MAX: usize = 64;

/// Pause before nodes that knew no primary are asked again.
const ELECTION_PAUSE: Duration = Duration::from_millis(30);

/// Why a try brought no response.
enum Failed {
    /// Nothing was sent.
    NotSent(io::Error),
    /// The request, or part of it, was sent, and then the connection broke.
    Broken { error: hyper::Error, reused: bool },
    /// The response was too long, or incomplete.
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

    /// The nodes' current addresses. Calls in progress continue with the addresses they began with.
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

    /// The error when there is no node to ask.
    fn nobody(&self) -> ClientError {
        let detail = match &*self.given {
            [] => "the list of database nodes is empty".to_owned(),
            [one, ..] => format!("no database node's name can be resolved; the first is '{one}'"),
        };
        ClientError::Unavailable { detail }
    }

    /// Asks until there is an answer, no node left, or no time. Writes and linearizable reads start
    /// with the primary, if it is known.
    pub(super) async fn call(&self, call: Call) -> Result<Answer, ClientError> {
        let primary = *self.primary.lock();
        let answer = self.call_from(primary, call).await?;
        *self.primary.lock() = Some(answer.node);
        Ok(answer)
    }

    /// Like `call`, starting with each node in turn.
    pub(super) async fn call_any(&self, call: Call) -> Result<Answer, ClientError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let nodes = self.nodes();
        let first = turn.checked_rem(nodes.len()).map(|turn| nodes[turn]);
        self.call_from(first, call).await
    }

    /// Like `call`, but asks only the node with this name.
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
                        // A rejected retry says nothing about an earlier try.
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

    /// Handles a call that may have arrived but has no answer. It is repeated if that does no harm;
    /// the returned error is its outcome if no node answers. The next call starts with another
    /// node, because a frozen node accepts connections and never answers.
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

    /// How long one node may take: only part of the time limit if another node can be asked.
    fn try_limit(&self, call: &Call) -> Duration {
        if self.nodes().len() > 1 && call.effect != Effect::EachTime { self.limit / 3 } else { self.limit }
    }

    /// Asks one node. If an idle connection turns out to be closed, it is replaced once, provided
    /// that the call certainly did not arrive or may arrive twice.
    async fn try_node(&self, node: SocketAddr, call: &Call) -> Result<Answer, Failed> {
        let connection = self.connections.get(node).await.map_err(Failed::NotSent)?;
        let first = match self.ask(connection, call).await {
            Err(first @ Failed::NotSent(_)) => first,
            Err(first @ Failed::Broken { reused: true, .. }) if call.effect != Effect::EachTime => first,
            outcome => return outcome,
        };
        match self.ask_anew(node, call).await {
            // A second try that was not sent says nothing about the first one.
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

    /// The address of the primary that a response redirects to: the known address of that name, or
    /// else the one in the `Location`.
    async fn redirect(&self, answer: &Answer, deadline: Instant) -> Option<SocketAddr> {
        let location = answer.redirect()?;
        let known = answer.primary().and_then(|name| self.names.lock().get(name).copied());
        match known {
            Some(node) => Some(node),
            None => self.locate(location, deadline).await,
        }
    }

    /// Resolves the address in a redirect, preferably to one of the known nodes. If it cannot be
    /// resolved, other nodes are asked.
    async fn locate(&self, authority: &str, deadline: Instant) -> Option<SocketAddr> {
        // Containers are addressed by name, and their addresses change.
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
