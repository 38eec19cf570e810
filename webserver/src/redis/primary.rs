//! From a configuration to a connection to the primary, each step within its limit.
//!
//! The library's own Sentinel client asks the Sentinels only when it opens a connection and has its
//! own, longer limits; asking them is one command, so it is asked here, over the same few lines that
//! connect to Redis itself. A connection counts only when its other end says that it is the primary:
//! right after a failover a Sentinel may still name the old one.

use std::io;
use std::net::SocketAddr;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, RedisError, Script, cmd};
use futures_util::FutureExt;
use futures_util::future::{join_all, select_ok};
use machine::names::Name;
use machine::network::Network;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::{CONNECT_LIMIT, RESPONSE_LIMIT};
use crate::config::{RedisConfig, RedisPlace};

/// An open connection, and the task that moves its bytes: it ends when the connection does.
pub(super) struct Connected {
    pub(super) connection: MultiplexedConnection,
    pub(super) driver: AbortOnDropHandle<()>,
    /// Where it leads, as `host:port`.
    pub(super) node: String,
    /// The name that it was opened by, and the address that was found.
    pub(super) led: (Name, SocketAddr),
}

/// Why there is no connection to the primary.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPrimary {
    #[error("cannot connect to {node}: {source}")]
    Unreachable { node: String, source: io::Error },
    #[error("{node} does not answer as Redis does: {source}")]
    NotRedis { node: String, source: RedisError },
    #[error("{node} did not answer within {RESPONSE_LIMIT:?}")]
    Silent { node: String },
    #[error("the Sentinel {node} knows no primary called '{primary}'")]
    UnknownName { node: String, primary: String },
    #[error("{node} is not a primary now, but a {role}")]
    NotPrimary { node: String, role: String },
}

/// Connects to the primary, wherever it is now, and makes the scripts known to it.
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
        // All at once: a Sentinel that is gone must not delay the others' answer.
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
    let connected = open(node, login, network).await?;
    // The rest of the answer is about replication, and differs by role.
    let role: Vec<::redis::Value> = connected.ask(&cmd("ROLE")).await?;
    let role = role.first().and_then(|role| ::redis::from_redis_value_ref::<String>(role).ok());
    match role.as_deref() {
        Some("master") => Ok(connected),
        role => Err(NoPrimary::NotPrimary {
            node: connected.node,
            role: role.unwrap_or("server without a role").to_owned(),
        }),
    }
}

async fn ask_sentinel(sentinel: &str, primary: &str, network: &Network) -> Result<String, NoPrimary> {
    let connected = open(sentinel.to_owned(), &RedisConnectionInfo::default(), network).await?;
    let mut question = cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(primary);
    let address: Option<(String, u16)> = connected.ask(&question).await?;
    let unknown = || NoPrimary::UnknownName { node: sentinel.to_owned(), primary: primary.to_owned() };
    let (host, port) = address.ok_or_else(unknown)?;
    Ok(format!("{host}:{port}"))
}

async fn open(node: String, login: &RedisConnectionInfo, network: &Network) -> Result<Connected, NoPrimary> {
    let way = network.name(&node);
    let (stream, address) = match timeout(CONNECT_LIMIT, network.connect_to(&way)).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(source)) => return Err(NoPrimary::Unreachable { node, source }),
        Err(late) => return Err(NoPrimary::Unreachable { node, source: late.into() }),
    };
    // The limit of an answer is kept by who waits for it, over all round trips it may take.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let greeting = MultiplexedConnection::new_with_config(login, stream, config);
    match timeout(RESPONSE_LIMIT, greeting).await {
        Ok(Ok((connection, driver))) => {
            let driver = AbortOnDropHandle::new(tokio::spawn(driver));
            Ok(Connected { connection, driver, node, led: (way, address) })
        }
        Ok(Err(source)) => Err(NoPrimary::NotRedis { node, source }),
        Err(_) => Err(NoPrimary::Silent { node }),
    }
}

impl Connected {
    async fn ask<T: ::redis::FromRedisValue>(&self, question: &Cmd) -> Result<T, NoPrimary> {
        match timeout(RESPONSE_LIMIT, question.query_async(&mut self.connection.clone())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(NoPrimary::NotRedis { node: self.node.clone(), source }),
            Err(_) => Err(NoPrimary::Silent { node: self.node.clone() }),
        }
    }

    /// One that refuses a script says so again to whoever runs it, so that is no reason not to connect.
    async fn load(&self, scripts: &[Script]) -> Result<(), NoPrimary> {
        let loading = scripts.iter().map(async |script| {
            if let Err(error) = script.load_async(&mut self.connection.clone()).await {
                tracing::warn!(node = self.node, %error, "Redis does not take a script");
            }
        });
        let loaded = timeout(RESPONSE_LIMIT, join_all(loading)).await;
        loaded.map(drop).map_err(|_late| NoPrimary::Silent { node: self.node.clone() })
    }
}
