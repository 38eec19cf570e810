//! One call: a request to one node, perhaps to another one, and its answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use machine::network::Network;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::answer::Answer;
use super::call::{Call, Effect};
use super::connections::{Connection, Connections};
use super::error::ClientError;
use super::routing::{Met, Route};
use super::types::ClientLimits;

/// Makes calls.
#[derive(Debug)]
pub(super) struct Exchange {
    nodes: Vec<SocketAddr>,
    connections: Connections,
    limit: Duration,
    /// Who took the last call. A guess: whoever is wrong is redirected.
    primary: Mutex<Option<SocketAddr>>,
}

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
    pub(super) fn new(nodes: Vec<SocketAddr>, network: Network, limits: ClientLimits) -> Self {
        let connections = Connections::new(network, limits.connect, limits.idle_connections);
        Self { nodes, connections, limit: limits.request, primary: Mutex::new(None) }
    }

    /// Asks until there is an answer, or no node left to ask, or no time.
    pub(super) async fn call(&self, call: Call) -> Result<Answer, ClientError> {
        let deadline = Instant::now() + self.limit;
        let mut route = Route::new(&self.nodes, *self.primary.lock());
        let no_nodes = || ClientError::Unavailable { detail: "the list of database nodes is empty".into() };
        let mut node = route.first().ok_or_else(no_nodes)?;
        loop {
            let met = match timeout_at(deadline, self.try_node(node, &call)).await {
                Err(_) => return Err(call.unanswered(ClientError::Timeout)),
                Ok(Ok(answer)) => match answer.redirect() {
                    None => {
                        *self.primary.lock() = Some(node);
                        return Ok(answer);
                    }
                    Some(primary) => (Met::Redirect(primary), answer.into_error(call.effect)),
                },
                Ok(Err(Failed::NotSent(source))) => (Met::Nobody, ClientError::Unreachable { node, source }),
                Ok(Err(failed)) => return Err(call.unanswered(failed.into_error())),
            };
            let (met, error) = met;
            node = route.after(met).ok_or(error)?;
        }
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

    async fn ask(&self, mut connection: Connection, call: &Call) -> Result<Answer, Failed> {
        let answering = connection.requests.try_send_request(call.request(connection.node())).await;
        let response = answering.map_err(|mut failure| match failure.take_message() {
            Some(_unsent) => Failed::NotSent(io::Error::other(failure.into_error())),
            None => Failed::Broken { error: failure.into_error(), reused: connection.reused },
        })?;
        let answer = Answer::read(response).await.map_err(Failed::Unreadable)?;
        self.connections.give_back(connection);
        Ok(answer)
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
