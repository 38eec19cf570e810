//! The database, as the store sees it: documents, counted calls, and one log line when it goes and
//! one when it comes back.

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

/// Connections to each database node that are kept though nobody uses them now.
const IDLE_CONNECTIONS: usize = 256;

/// For so long after a write, reads of the same key ask for the latest, not for what a replica has.
/// A replica that is further behind than this is the database's trouble.
pub(super) const OWN_WRITES_FOR: Duration = Duration::from_secs(60);

/// How many own writes are remembered; the oldest make room.
const OWN_WRITES_MAX: u64 = 10_000;

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    client: Client,
    limit: Duration,
    /// Keys that this server has just written: whoever wrote here must read here what they wrote. On
    /// another server they may not.
    own_writes: Cache<String, ()>,
    answers: Arc<AtomicBool>,
    metrics: Metrics,
}

/// What is in an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// What is in the account.
    pub balance: i64,
    /// Which write made it so.
    pub version: Version,
    /// The database node it was read from.
    pub node: String,
    /// How far behind that node may be, in milliseconds, when it said so.
    pub lag_ms: Option<u64>,
}

/// Which of an account's copies to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Whichever shows what was written last.
    Latest,
    /// That of the node with this name, which may be behind.
    Replica(String),
}

impl Database {
    /// The database that is configured. Looks its nodes' names up, and has them followed; does not
    /// connect yet.
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

    /// How long one call takes at most.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Reads a document, at least as fresh as is wanted, and the latest when it was just written here.
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
            // That one replica is gone does not say that the database is.
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
                    tracing::warn!(%error, "the database does not do what it is asked to");
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
