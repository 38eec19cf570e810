//! The cache that all servers share. There is one fill per key among all of them: the caller that gets the fill
//! queries the database; readers on the same server wait for that, and one reader on each other server polls
//! Redis until the copy is there.
//!
//! ```text
//! look ──fresh─────────────────────────────────────> HIT
//!   ├───fill──> ask the database, keep its answer ─┬> MISS
//!   ├───wait──> until another reader has ──────────┘
//!   │             │ late or failed, and there is an old copy
//!   │             └────────────────────────────────> STALE
//!   ├───failed──> a fill has just failed, and there is no copy: so does this read
//!   └─(no Redis)──> ask the database, within a limit ────────────> BYPASS
//! ```
//!
//! After a write was acknowledged, no server reads the old value from here. If Redis refuses to remove it,
//! every server notices within a second that Redis takes no writes, and ignores its copies; the writer gets its
//! response after that. There is one exception: while Redis cannot be reached, copies cannot be removed from
//! it. They are removed as soon as it is back; in the moment in between, another server may still read one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dbclient::{ClientError, Read};
use machine::trace;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::copies::{Copies, Look, Token};
use super::database::Database;
use super::fill::{Fill, Filler, Outcome};
use super::freshness::Rules;
use super::pending::PendingInvalidations;
use super::reason::Reason;
use super::{Answer, Document, Source, StoreError};
use crate::metrics::Metrics;
use crate::redis::{Failure, Redis};

/// How often a server that waits for another one's fill polls Redis.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How much longer a fill may take than its database query.
const FILL_SLACK: Duration = Duration::from_millis(250);

/// The pause before an invalidation that Redis refused is repeated.
const SETTLE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The cache that all servers share.
#[derive(Debug)]
pub(super) struct SharedCache {
    copies: Copies,
    database: Database,
    /// Fills that readers on this server wait for: its own, and those of other servers.
    fills: Mutex<HashMap<Token, Fill>>,
    pending: PendingInvalidations,
    past_it: Semaphore,
    rules: Rules,
    fill_limit: Duration,
    metrics: Metrics,
}

impl SharedCache {
    /// Creates a cache in this Redis. While Redis is gone, `bypass_max` reads at a time may bypass the cache.
    pub(super) fn new(
        redis: Redis,
        rules: Rules,
        bypass_max: usize,
        database: Database,
        metrics: &Metrics,
    ) -> Arc<Self> {
        let fill_limit = database.limit() + FILL_SLACK;
        Arc::new(Self {
            copies: Copies::new(redis, rules, fill_limit),
            database,
            fills: Mutex::default(),
            pending: PendingInvalidations::default(),
            past_it: Semaphore::new(bypass_max),
            rules,
            fill_limit,
            metrics: metrics.clone(),
        })
    }

    /// Reads a document: a fresh copy, otherwise from the database.
    pub(super) async fn read(self: &Arc<Self>, key: &str) -> Result<Answer, StoreError> {
        if self.pending.contains(key) {
            return self.answer_past(key).await;
        }
        let began = Instant::now();
        let (fill, stale) = match self.copies.look(key).await {
            Ok(Look::Fresh(found)) => return Ok(Answer::at_once(found, Source::Hit)),
            Ok(Look::Resting(found)) => return Ok(Answer::at_once(found, Source::Stale)),
            Ok(Look::Failed(reason)) => return Err(reason.error(key)),
            Ok(Look::Fill { token, latest, stale }) => (self.start_filling(key, token, latest), stale),
            Ok(Look::Wait { token, age, stale }) => {
                self.metrics.coalesced.inc();
                (self.join(key, token, age), stale)
            }
            Err(_) => return self.answer_past(key).await,
        };
        let asked = Instant::now();
        let Some(stale) = stale else {
            let found = fill.outcome().await?;
            return Ok(Answer { found, source: Source::Miss, database_time: asked.elapsed() });
        };
        let patience = self.rules.patience(fill.began, began.into_std());
        let (found, source) = match timeout(patience, fill.outcome()).await {
            Ok(Ok(found)) => (found, Source::Miss),
            Ok(Err(_)) | Err(_) => (stale, Source::Stale),
        };
        Ok(Answer { found, source, database_time: asked.elapsed() })
    }

    /// Removes a copy, so that every later reader sees what was written. If Redis cannot be reached, this is
    /// done in the background once it is back, and until then this server's readers of the key bypass the
    /// cache.
    pub(super) async fn invalidate(self: &Arc<Self>, key: &str) {
        let Err(failure) = self.copies.invalidate(key).await else { return };
        if self.pending.add(key) {
            let cache = Arc::clone(self);
            tokio::spawn(async move { cache.settle().await });
        }
        if matches!(failure, Failure::Refused(_)) {
            self.copies.believed_by_nobody().await;
        }
    }

    /// Round-robin, so that one key that is refused repeatedly does not hold up the others.
    async fn settle(&self) {
        let mut last = None;
        while let Some((key, doubt)) = self.pending.next(last.as_deref()) {
            self.copies.available().await;
            match self.copies.invalidate(&key).await {
                Ok(()) => self.pending.remove(&key, doubt),
                Err(_) => sleep(SETTLE_AGAIN_AFTER).await,
            }
            last = Some(key);
        }
    }

    /// Starts a fill by this server. A separate task, because other readers wait for it and its first reader
    /// may hang up.
    fn start_filling(self: &Arc<Self>, key: &str, token: Token, latest: bool) -> Fill {
        let (cache, key) = (Arc::clone(self), key.to_owned());
        self.begin(token, Duration::ZERO, async move { cache.fill(&key, token, latest).await })
    }

    /// Joins a fill in progress, on this server or on another one.
    fn join(self: &Arc<Self>, key: &str, token: Token, age: Duration) -> Fill {
        let known = self.fills.lock().get(&token).cloned();
        known.unwrap_or_else(|| {
            let (cache, key) = (Arc::clone(self), key.to_owned());
            self.begin(token, age, async move { cache.watch(&key).await })
        })
    }

    fn begin(
        self: &Arc<Self>,
        token: Token,
        age: Duration,
        work: impl Future<Output = Outcome> + Send + 'static,
    ) -> Fill {
        let now = Instant::now();
        let filler = Filler::begin(now.checked_sub(age).unwrap_or(now).into_std());
        let fill = filler.fill.clone();
        self.fills.lock().insert(token, fill.clone());
        let cache = Arc::clone(self);
        tokio::spawn(trace::carried(async move {
            let outcome = work.await;
            cache.fills.lock().remove(&token);
            filler.tell(outcome);
        }));
        fill
    }

    async fn fill(&self, key: &str, token: Token, latest: bool) -> Outcome {
        let read = if latest { Read::Latest } else { Read::Local };
        let outcome = self.database.read(key, read).await;
        // Without Redis nothing is stored, and no other server waits.
        let _ = match &outcome {
            Ok(found) => self.copies.complete_fill(key, token, found, rand::random()).await,
            Err(error) => self.copies.give_up(key, token, Reason::of(error)).await,
        };
        outcome
    }

    /// Polls until another server's answer is there, or until it is this server's turn to query.
    async fn watch(&self, key: &str) -> Outcome {
        let began = Instant::now();
        while began.elapsed() < self.fill_limit {
            sleep(LOOK_EVERY).await;
            match self.copies.look(key).await {
                Ok(Look::Fresh(found) | Look::Resting(found)) => return Ok(found),
                Ok(Look::Failed(reason)) => return Err(reason.error(key)),
                Ok(Look::Fill { token, latest, .. }) => return self.fill(key, token, latest).await,
                Ok(Look::Wait { .. }) => {}
                Err(_) => return self.read_past(key).await,
            }
        }
        Err(ClientError::Timeout.into())
    }

    async fn answer_past(&self, key: &str) -> Result<Answer, StoreError> {
        let began = Instant::now();
        let found = self.read_past(key).await?;
        Ok(Answer { found, source: Source::Bypass, database_time: began.elapsed() })
    }

    /// Queries the database, unless too many reads do so already: without the cache it cannot serve all of
    /// them, and reads that it could not serve in time are better not sent.
    async fn read_past(&self, key: &str) -> Result<Option<Document>, StoreError> {
        let Ok(_permit) = self.past_it.try_acquire() else {
            self.metrics.bypass_refused.inc();
            return Err(StoreError::TooManyPastTheCache);
        };
        self.database.read(key, Read::Local).await
    }
}
