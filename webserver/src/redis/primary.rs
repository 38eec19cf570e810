//! Finds the primary and connects to it, each step within its time limit.
//!
//! The library's own Sentinel client asks the Sentinels only when it opens a connection, and has its own,
//! longer limits. Asking them is one command, so it is done here, with the same few lines that connect to Redis
//! itself. A connection counts only if its other end does not say that it is no primary: right after a
//! failover, a Sentinel may still name the old one.

use std::io;
use std::net::SocketAddr;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, RedisError, Script, cmd};
use futures_util::FutureExt;
use futures_util::future::{join_all, select_ok};
use machine::names::Name;
use machine::network::{Network, Stream};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::config::{RedisConfig, RedisPlace};
use super::failure::refusal;
use super::greeting::greet;
use super::refusal::Refusal;
use super::{CONNECT_LIMIT, RESPONSE_LIMIT};

/// An open connection and the task that drives it, which ends when the connection does.
pub(super) struct Connected {
    pub(super) connection: MultiplexedConnection,
    pub(super) driver: AbortOnDropHandle<()>,
    /// The other end, as `host:port`.
    pub(super) node: String,
    /// The name that it was opened by, and the address that the name resolved to.
    pub(super) led: (Name, SocketAddr),
    /// True if the other end is a cluster member, so that other members hold some of the keys.
    pub(super) is_in_a_cluster: bool,
}

/// Why there is no connection to the primary.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPrimary {
    #[error("cannot connect to {node}: {source}")]
    Unreachable { node: String, source: io::Error },
    #[error("{node} does not answer as Redis does: {source}")]
    NotRedis { node: String, source: RedisError },
    #[error("{node} says: {refusal}; {hint}", hint = refusal.hint())]
    Refused { node: String, refusal: Refusal },
    #[error("{node} did not answer within {RESPONSE_LIMIT:?}")]
    Silent { node: String },
    #[error("the Sentinel {node} knows no primary called '{primary}'")]
    UnknownName { node: String, primary: String },
    #[error("{node} is not a primary now, but a {role}")]
    NotPrimary { node: String, role: String },
}

impl NoPrimary {
    /// Identifies the kind of reason, whatever else the message contains.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } => "gone",
            Self::NotRedis { .. } => "not Redis",
            Self::Refused { refusal, .. } => refusal.word,
            Self::UnknownName { .. } => "unknown name",
            Self::NotPrimary { .. } => "not primary",
        }
    }
}

/// Connects to the current primary, and loads the scripts.
pub(super) async fn connect(
    config: &RedisConfig,
    scripts: &[Script],
    network: &Network,
) -> Result<Connected, NoPrimary> {
    let connected = connect_to_primary(config, network).await?;
    connected.load(scripts).await?;
    Ok(connected)
}

async fn connect_to_primary(config: &RedisConfig, network: &Network) -> Result<Connected, NoPrimary> {
    match &config.place {
        RedisPlace::Fixed(node) => connect_as_primary(node.clone(), &config.login, network).await,
        // All at once, so that a dead Sentinel does not delay the others' replies.
        RedisPlace::Sentinels { nodes, primary } => {
            let asking = nodes.iter().map(|sentinel| {
                async move {
                    let node = ask_sentinel(sentinel, primary, network).await?;
                    connect_as_primary(node, &config.login, network).await
                }
                .boxed()
            });
            select_ok(asking).await.map(|(connected, _losers)| connected)
        }
    }
}

async fn connect_as_primary(
    node: String,
    login: &RedisConnectionInfo,
    network: &Network,
) -> Result<Connected, NoPrimary> {
    let mut connected = open(node, network).await?;
    let greeting = match greet(&connected, login).await {
        Err(NoPrimary::NotRedis { node, source }) => match said_unasked(&node, network).await {
            Some(refusal) => return Err(NoPrimary::Refused { node, refusal }),
            None => return Err(NoPrimary::NotRedis { node, source }),
        },
        greeted => greeted?,
    };
    connected.is_in_a_cluster = greeting.is_in_a_cluster();
    match greeting.role_but_primary() {
        None => Ok(connected),
        Some(role) => Err(NoPrimary::NotPrimary { node: connected.node, role }),
    }
}

async fn ask_sentinel(sentinel: &str, primary: &str, network: &Network) -> Result<String, NoPrimary> {
    let connected = open(sentinel.to_owned(), network).await?;
    let mut question = cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(primary);
    let address: Option<(String, u16)> = connected.ask(&question).await?;
    let unknown = || NoPrimary::UnknownName { node: sentinel.to_owned(), primary: primary.to_owned() };
    let (host, port) = address.ok_or_else(unknown)?;
    Ok(format!("{host}:{port}"))
}

async fn open(node: String, network: &Network) -> Result<Connected, NoPrimary> {
    let way = network.name(&node);
    let (stream, address) = reach(&node, &way, network).await?;
    // The caller enforces the limit of a reply, over all its round trips.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    // Nothing is sent before the greeting.
    let silent = RedisConnectionInfo::default().set_skip_set_lib_name();
    let opening = MultiplexedConnection::new_with_config(&silent, stream, config);
    match timeout(RESPONSE_LIMIT, opening).await {
        Ok(Ok((connection, driver))) => {
            let driver = AbortOnDropHandle::new(tokio::spawn(driver));
            Ok(Connected { connection, driver, node, led: (way, address), is_in_a_cluster: false })
        }
        Ok(Err(source)) => Err(NoPrimary::NotRedis { node, source }),
        Err(_) => Err(NoPrimary::Silent { node }),
    }
}

async fn reach(node: &str, way: &Name, network: &Network) -> Result<(Stream, SocketAddr), NoPrimary> {
    let unreachable = |source| NoPrimary::Unreachable { node: node.to_owned(), source };
    match timeout(CONNECT_LIMIT, network.connect_to(way)).await {
        Ok(reached) => reached.map_err(unreachable),
        Err(late) => Err(unreachable(late.into())),
    }
}

/// Reads what a server sends unsolicited before it closes the connection: that it has no room, or rejects
/// strangers. The library skips such a message.
async fn said_unasked(node: &str, network: &Network) -> Option<Refusal> {
    const LENGTH_MAX: u64 = 1024;
    let mut said = Vec::new();
    let (stream, _) = reach(node, &network.name(node), network).await.ok()?;
    let mut stream = stream.take(LENGTH_MAX);
    timeout(RESPONSE_LIMIT, stream.read_to_end(&mut said)).await.ok()?.ok()?;
    let said = String::from_utf8_lossy(&said);
    Some(Refusal::of(said.strip_prefix('-')?.lines().next()?))
}

impl Connected {
    /// Runs one command, within its time limit.
    pub(super) async fn ask<T: ::redis::FromRedisValue>(&self, question: &Cmd) -> Result<T, NoPrimary> {
        let node = || self.node.clone();
        match timeout(RESPONSE_LIMIT, question.query_async(&mut self.connection.clone())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(match refusal(&error) {
                Some(refusal) => NoPrimary::Refused { node: node(), refusal },
                None => NoPrimary::NotRedis { node: node(), source: error },
            }),
            Err(_) => Err(NoPrimary::Silent { node: node() }),
        }
    }

    /// A refused script is no reason not to connect: Redis will refuse it again when it is run.
    async fn load(&self, scripts: &[Script]) -> Result<(), NoPrimary> {
        let loading = scripts.iter().map(async |script| {
            if let Err(error) = script.load_async(&mut self.connection.clone()).await {
                tracing::debug!(node = self.node, %error, "Redis does not take a script");
            }
        });
        let loaded = timeout(RESPONSE_LIMIT, join_all(loading)).await;
        loaded.map(drop).map_err(|_late| NoPrimary::Silent { node: self.node.clone() })
    }
}
