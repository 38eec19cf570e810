//! The database, as the store sees it: documents, counted calls, and one log line when it fails and
//! one when it recovers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dbclient::Version;
use dbclient::{Client, ClientError, ClientLimits, Condition, Read, Record, Sum};
use machine::network::Network;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde::de::IgnoredAny;

use super::config::DatabaseConfig;
use super::names::{LookupError, find};
use super::{Document, StoreError};
use crate::metrics::Metrics;

/// Idle connections that are kept to each database node.
const IDLE_CONNECTIONS: usize = 256;

/// How long after a write, reads of the same key ask for the latest version instead of a replica's
/// (read your writes). A replica that lags more than this is the database's problem.
pub(super) const OWN_WRITES_FOR: Duration = Duration::from_secs(60);

/// Own writes that are remembered; the oldest are evicted.
const OWN_WRITES_MAX: u64 = 10_000;

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    client: Client,
    limit: Duration,
    /// Keys that this server has recently written: a client that wrote here must read its own write
    /// here. On another server this does not hold.
    own_writes: Cache<String, ()>,
    answers: Arc<AtomicBool>,
    metrics: Metrics,
}

/// The balance of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// The amount.
    pub balance: i64,
    /// The write that set it.
    pub version: Version,
    /// The database node it was read from.
    pub node: String,
    /// How far behind that node may be, in milliseconds, if it reported that.
    pub lag_ms: Option<u64>,
}

/// Which replica of an account to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Any that has the latest version.
    Latest,
    /// The node with this name, which may be behind.
    Replica(String),
}

impl Database {
    /// Creates the client of the configured database. Resolves the nodes' names and keeps following
    /// them; does not connect yet.
    pub async fn find(
        config: &DatabaseConfig,
        network: Network,
        metrics: &Metrics,
    ) -> Result<Self, LookupError> {
        let nodes = find(&config.nodes, &network).await?;
        let limits = ClientLimits {
            connect: config.timeout.min(ClientLimits::default().connect),
            request: config.timeout,
            idle_connections: IDLE_CONNECTIONS,
        };
        let own_writes = Cache::builder()
            .max_capacity(OWN_WRITES_MAX)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(OWN_WRITES_FOR)
            .build();
        Ok(Self {
            client: Client::new(nodes, network, limits),
            limit: config.timeout,
            own_writes,
            answers: Arc::new(AtomicBool::new(true)),
            metrics: metrics.clone(),
        })
    }

    /// The time limit of one call.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Reads a document with this consistency; with the latest one if it was just written here.
    pub async fn read(&self, key: &str, wanted: Read) -> Result<Option<Document>, StoreError> {
        self.metrics.database_reads.inc();
        let read = if self.own_writes.contains_key(key) { Read::Latest } else { wanted };
        let record = self.watch(self.client.get(key, read).await)?;
        record.map(|record| document(key, record)).transpose()
    }

    /// Writes a document.
    pub async fn write(&self, key: &str, body: Bytes) -> Result<Version, StoreError> {
        self.metrics.database_writes.inc();
        let outcome = self.watch(self.client.put(key, body, Condition::Always).await);
        self.own_writes.insert(key.to_owned(), ());
        Ok(outcome?)
    }

    /// Reads an account.
    pub async fn balance(&self, key: &str, place: &Place) -> Result<Option<Balance>, StoreError> {
        self.metrics.database_reads.inc();
        let record = match place {
            Place::Latest => self.watch(self.client.get(key, Read::Latest).await)?,
            // If that one replica is gone, the database may still be available.
            Place::Replica(replica) => self.client.get_from(replica, key).await?,
        };
        record.map(|record| balance(key, record)).transpose()
    }

    /// Adds to an account.
    pub async fn add(&self, key: &str, by: i64, idempotency_key: Option<&str>) -> Result<Sum, StoreError> {
        self.metrics.database_writes.inc();
        Ok(self.watch(self.client.add(key, by, idempotency_key).await)?)
    }

    fn watch<T>(&self, outcome: Result<T, ClientError>) -> Result<T, ClientError> {
        match &outcome {
            Ok(_) => {
                if !self.answers.swap(true, Ordering::Relaxed) {
                    tracing::info!("the database answers again");
                }
            }
            Err(error) => {
                self.metrics.database_failures.inc();
                if self.answers.swap(false, Ordering::Relaxed) {
                    tracing::warn!(%error, "calls to the database fail");
                }
            }
        }
        outcome
    }
}

fn balance(key: &str, record: Record) -> Result<Balance, StoreError> {
    let text = std::str::from_utf8(&record.value).ok();
    let balance = text.and_then(|text| text.parse().ok());
    let balance = balance.ok_or_else(|| StoreError::NotANumber { key: key.to_owned() })?;
    let Record { version, node, lag_ms, .. } = record;
    Ok(Balance { balance, version, node, lag_ms })
}

fn document(key: &str, record: Record) -> Result<Document, StoreError> {
    if serde_json::from_slice::<IgnoredAny>(&record.value).is_err() {
        return Err(StoreError::NotADocument { key: key.to_owned() });
    }
    Ok(Document { body: record.value, version: record.version, node: record.node.into() })
}
