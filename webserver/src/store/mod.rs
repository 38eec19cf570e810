//! The interface to all data (cache-aside). Read: the cache, then the database. Write: the database, then
//! invalidate.
//!
//! ```text
//! read ──> fresh copy? ──yes─────────────────────────────────> HIT
//!            │ no
//!            └─> one fill per key, shared by all readers ───> MISS
//!                  │ late or failed, and there is an old copy
//!                  └─────────────────────────────────────────> STALE
//! ```
//!
//! After a failed fill, the cache leaves the database alone for a moment, per key: readers get the old
//! copy, or the failure, at once.
//!
//! This module knows nothing of HTTP, nor of what the documents mean.

/// The configuration of the database and the cache.
mod config;
/// Copies in Redis, and the fills in progress.
mod copies;
/// The database, as the store sees it.
pub mod database;
/// One fill, which all its readers wait for.
mod fill;
pub mod freshness;
/// The cache in this process's memory.
mod local;
/// Resolves the names of the database's nodes.
pub mod names;
/// Invalidations to repeat, because the cache could not be reached.
mod pending;
mod reason;
/// The cache that all servers share.
mod shared;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dbclient::{ClientError, Read, Sum, Version};
use machine::trace;
use tokio::time::{Instant, timeout};

pub use config::{CacheConfig, DatabaseConfig};

use crate::metrics::{CacheLabels, Metrics};
use crate::redis::{Purpose, Redis};
use database::{Balance, Database, Place};
use fill::Filler;
use local::{LocalCache, Lookup};
use shared::SharedCache;

/// The interface to all data. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    cache: Cache,
    database: Database,
    metrics: Metrics,
}

/// The cache in use.
#[derive(Debug, Clone)]
enum Cache {
    None,
    Local(Arc<LocalCache>),
    Shared(Arc<SharedCache>),
}

/// A stored JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The body exactly as it was written.
    pub body: Bytes,
    /// The write that stored it.
    pub version: Version,
    /// The database node it was read from.
    pub node: Arc<str>,
}

/// The answer to a read.
#[derive(Debug)]
pub struct Answer {
    /// What was found.
    pub found: Option<Document>,
    /// The place where it was found.
    pub source: Source,
    /// How long the database took. The rest of the time was spent on the cache.
    pub database_time: Duration,
}

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A fresh copy.
    Hit,
    /// The database, through the cache.
    Miss,
    /// A stale copy, because the database is slow or gone.
    Stale,
    /// The database; there is no cache.
    Bypass,
}

/// Why a read or write failed. All readers that waited get the same error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database call failed.
    #[error(transparent)]
    Database(Arc<ClientError>),
    /// The value of an account is not a number; another program wrote it.
    #[error("what the database has under '{key}' is not a number")]
    NotANumber {
        /// The key.
        key: String,
    },
    /// The value of a document is not JSON; another program wrote it.
    #[error("what the database has under '{key}' is not a JSON document")]
    NotADocument {
        /// The key.
        key: String,
    },
    /// The cache is gone, and the limit of reads that bypass it is reached.
    #[error("the cache is gone, and too many reads go past it already; try again later")]
    TooManyPastTheCache,
    /// The task that read ended without an outcome: a bug.
    #[error("this is a bug in the server; the read was given up")]
    ReadGivenUp,
    /// The task that wrote ended without an outcome: a bug.
    #[error("this is a bug in the server; the write may or may not have happened")]
    WriteGivenUp,
}

impl Store {
    /// The keys and scripts that copies in Redis need.
    pub fn purpose() -> Purpose {
        Purpose { keys: copies::KEYS, scripts: copies::scripts().into() }
    }

    /// Creates a store over this database with the configured cache; `redis` is present if the cache needs
    /// it.
    pub fn new(cache: &CacheConfig, database: Database, redis: Option<Redis>, metrics: &Metrics) -> Self {
        let cache = match (cache, redis) {
            (CacheConfig::Local { entries, rules }, _) => {
                Cache::Local(Arc::new(LocalCache::new(*entries, *rules)))
            }
            (CacheConfig::Redis { rules, bypass_max }, Some(redis)) => {
                Cache::Shared(SharedCache::new(redis, *rules, *bypass_max, database.clone(), metrics))
            }
            (CacheConfig::None | CacheConfig::Redis { .. }, _) => Cache::None,
        };
        Self { cache, database, metrics: metrics.clone() }
    }

    /// Reads a document: a fresh copy from the cache, otherwise from the database, and if that does not
    /// answer, a stale copy. The database's answer may lag as much as its replica does, except for what
    /// this server wrote recently.
    pub async fn read(&self, key: &str) -> Result<Answer, StoreError> {
        let answer = match &self.cache {
            Cache::None => self.read_past(key).await,
            Cache::Local(cache) => self.read_through(cache, key).await,
            Cache::Shared(cache) => cache.read(key).await,
        }?;
        let labels = CacheLabels { cache: self.cache.name(), from: answer.source.name() };
        self.metrics.answers.get_or_create(&labels).inc();
        Ok(answer)
    }

    /// Writes a document, so that every later reader sees it. Runs as a separate task: once begun, it
    /// continues to the invalidation even if the caller hangs up.
    ///
    /// It cannot reach copies in other servers' own memory, and it misses a write that takes effect after
    /// its outcome was reported as unknown: there the old value may be read until its copy expires. Nor
    /// does it tell other servers to read the latest version, except through a shared cache: a server that
    /// bypasses the cache, or has none, reads from a replica, which may lag.
    pub async fn write(&self, key: &str, body: Bytes) -> Result<Version, StoreError> {
        let (store, key) = (self.clone(), key.to_owned());
        let writing = tokio::spawn(trace::carried(async move {
            let outcome = store.database.write(&key, body).await;
            let may_have_happened = outcome.as_ref().err().is_none_or(StoreError::may_have_happened);
            if may_have_happened {
                store.cache.invalidate(&key).await;
            }
            outcome
        }));
        writing.await.unwrap_or(Err(StoreError::WriteGivenUp))
    }

    /// Reads the balance of an account; `None` if there is no such account. Never cached.
    pub async fn balance(&self, key: &str, place: &Place) -> Result<Option<Balance>, StoreError> {
        self.database.balance(key, place).await
    }

    /// Adds to an account. With an idempotency key it takes effect once, however often it is sent.
    pub async fn deposit(
        &self,
        key: &str,
        amount: i64,
        idempotency_key: Option<&str>,
    ) -> Result<Sum, StoreError> {
        self.database.add(key, amount, idempotency_key).await
    }

    async fn read_past(&self, key: &str) -> Result<Answer, StoreError> {
        let began = Instant::now();
        let found = self.database.read(key, Read::Local).await?;
        Ok(Answer { found, source: Source::Bypass, database_time: began.elapsed() })
    }

    async fn read_through(&self, cache: &Arc<LocalCache>, key: &str) -> Result<Answer, StoreError> {
        let began = Instant::now();
        let (fill, filler, copy) = match cache.look_up(key, began.into_std()) {
            Lookup::Ready(found, source) => {
                return Ok(Answer::at_once(found, source));
            }
            Lookup::Failed(error) => return Err(error),
            Lookup::Wait { fill, filler, copy } => (fill, filler, copy),
        };
        match filler {
            Some(filler) => self.start_filling(cache, key, filler),
            None => _ = self.metrics.coalesced.inc(),
        }
        let Some(copy) = copy else {
            let found = fill.outcome().await?;
            return Ok(Answer { found, source: Source::Miss, database_time: began.elapsed() });
        };
        let patience = cache.rules().patience(fill.began, began.into_std());
        let (found, source) = match timeout(patience, fill.outcome()).await {
            Ok(Ok(found)) => (found, Source::Miss),
            Ok(Err(_)) | Err(_) => (copy, Source::Stale),
        };
        Ok(Answer { found, source, database_time: began.elapsed() })
    }

    /// A separate task, because other readers wait for it and its first reader may hang up.
    fn start_filling(&self, cache: &Arc<LocalCache>, key: &str, filler: Filler) {
        let (cache, database, key) = (Arc::clone(cache), self.database.clone(), key.to_owned());
        tokio::spawn(trace::carried(async move {
            let outcome = database.read(&key, Read::Local).await;
            cache.complete_fill(&key, filler, outcome, Instant::now().into_std(), rand::random());
        }));
    }
}

impl Cache {
    fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Local(_) => "local",
            Self::Shared(_) => "redis",
        }
    }

    async fn invalidate(&self, key: &str) {
        match self {
            Self::None => {}
            Self::Local(cache) => cache.invalidate(key),
            Self::Shared(cache) => cache.invalidate(key).await,
        }
    }
}

impl Answer {
    /// An answer that did not need the database.
    fn at_once(found: Option<Document>, source: Source) -> Self {
        Self { found, source, database_time: Duration::ZERO }
    }
}

impl Source {
    /// The value of `X-Cache`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Miss => "MISS",
            Self::Stale => "STALE",
            Self::Bypass => "BYPASS",
        }
    }
}

impl StoreError {
    /// True if this was a write that may have taken effect, or may yet.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Database(error) => error.may_have_happened(),
            Self::WriteGivenUp => true,
            Self::NotADocument { .. }
            | Self::NotANumber { .. }
            | Self::TooManyPastTheCache
            | Self::ReadGivenUp => false,
        }
    }
}

impl From<ClientError> for StoreError {
    fn from(error: ClientError) -> Self {
        Self::Database(Arc::new(error))
    }
}
