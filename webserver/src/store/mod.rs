//! The only door to data. Read: the cache, then the database. Write: the database, then invalidate.
//!
//! ```text
//! read ──> fresh copy? ──yes─────────────────────────────────> HIT
//!            │ no
//!            └─> one fill per key, shared by all who wait ──> MISS
//!                  │ late or failed, and there is an old copy
//!                  └─────────────────────────────────────────> STALE
//! ```
//!
//! After a fill that failed a cache leaves the database alone for a moment, key by key: its readers get the
//! old copy, or the failure, at once.
//!
//! Knows nothing of HTTP, nor of what the documents mean.

/// Which database, and what keeps copies of it.
mod config;
/// Copies in Redis, and who is filling them.
mod copies;
/// The database, as the store sees it.
pub mod database;
/// One fill, and all who wait for it.
mod fill;
pub mod freshness;
/// Copies in this process's memory, and who is filling them.
mod local;
/// Where the database's nodes are.
pub mod names;
/// What is still to be removed from a cache that could not be reached.
mod pending;
mod reason;
/// A cache that all servers share.
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

/// The only door to data. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    cache: Cache,
    database: Database,
    metrics: Metrics,
}

/// Where documents are kept once they were read.
#[derive(Debug, Clone)]
enum Cache {
    None,
    Local(Arc<LocalCache>),
    Shared(Arc<SharedCache>),
}

/// What is stored: a JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// As it was written, byte for byte.
    pub body: Bytes,
    /// Which write wrote it.
    pub version: Version,
    /// The database node it was read from.
    pub node: Arc<str>,
}

/// The answer to a read.
#[derive(Debug)]
pub struct Answer {
    /// What was found.
    pub found: Option<Document>,
    /// The place it was found in.
    pub source: Source,
    /// How long the database was waited for. The rest was the cache.
    pub database_time: Duration,
}

/// Where an answer labels from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A fresh copy.
    Hit,
    /// The database, through the cache.
    Miss,
    /// A copy that is past its time, because the database is slow or gone.
    Stale,
    /// The database; there is no cache.
    Bypass,
}

/// Why data could not be had. The same one goes to all who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database did not do what it was asked to.
    #[error(transparent)]
    Database(Arc<ClientError>),
    /// Somebody else wrote something into an account that is not a number.
    #[error("what the database has under '{key}' is not a number")]
    NotANumber {
        /// Where it is.
        key: String,
    },
    /// Somebody else wrote something into the database that is not JSON.
    #[error("what the database has under '{key}' is not a JSON document")]
    NotADocument {
        /// Where it is.
        key: String,
    },
    /// The cache is gone, and as many reads as may go past it do so already.
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
    /// What Redis is used for when copies are in it.
    pub fn purpose() -> Purpose {
        Purpose { keys: copies::KEYS, scripts: copies::scripts().into() }
    }

    /// A store over this database, with the cache that is configured; `redis` is there when that needs
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

    /// Reads a document: from the cache when it is fresh there, otherwise from the database, and
    /// when that does not answer, from what is left in the cache. The database's answer may be as old as
    /// its replica is, except of what this server wrote itself a moment ago.
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

    /// Writes a document, and makes every reader that comes after the answer see it. A task of its
    /// own: once begun it goes on to the invalidation, also when the caller hangs up.
    ///
    /// What it cannot reach are copies in other servers' own memory, and a write that happens after
    /// its outcome was given up as unknown: there the old value may be read until its copy has expired.
    /// Nor does it tell other servers that they are to ask for the latest, unless by way of a shared
    /// cache: where they go past it, or have none, they read what a replica has, which may be behind.
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

    /// What is in an account; none when there is no such account. Never from a cache.
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

    /// A task of its own: others wait for it, and its first reader may hang up.
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
    /// An answer for which the database was not asked.
    fn at_once(found: Option<Document>, source: Source) -> Self {
        Self { found, source, database_time: Duration::ZERO }
    }
}

impl Source {
    /// As it stands in `X-Cache`.
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
    /// True when this was a write, and it may have happened or may yet.
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
