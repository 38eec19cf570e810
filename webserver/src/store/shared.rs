//! A cache that all servers share. One fill per key among all of them: whoever is told to fill asks the
//! database; readers of the same server wait for that, and one of each other server looks again and
//! again until it is there.
//!
//! ```text
//! look ──fresh─────────────────────────────────────> HIT
//!   ├───fill──> ask the database, keep its answer ─┬> MISS
//!   ├───wait──> until somebody else has ───────────┘
//!   │             │ late or failed, and there is an old copy
//!   │             └────────────────────────────────> STALE
//!   ├───failed──> a fill has just failed, and there is no copy: so does this read
//!   └─(no Redis)──> ask the database, so many at a time at most ──> BYPASS
//! ```
//!
//! What an acknowledged write replaced is not read from here any more, on any server. Where Redis refuses to
//! remove it, every server notices within a second that Redis takes no writes, and passes by what is in it; the
//! writer has its answer after that. One exception: while Redis cannot be reached, copies cannot be removed
//! from it. They are as soon as it is there again; in the moment in between, another server may still read one.

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

/// How often a server that waits for another one's fill looks whether it is there.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How much longer a fill may take than its question to the database.
const FILL_SLACK: Duration = Duration::from_millis(250);

/// How long to leave a Redis alone that refused to forget something.
const SETTLE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A cache that all servers share.
#[derive(Debug)]
pub(super) struct SharedCache {
    copies: Copies,
    database: Database,
    /// What is waited for on this server: its own fills, and those of others.
    fills: Mutex<HashMap<Token, Fill>>,
    pending: PendingInvalidations,
    past_it: Semaphore,
    rules: Rules,
    fill_limit: Duration,
    metrics: Metrics,
}

impl SharedCache {
    /// The cache in this Redis. While that is gone, `bypass_max` reads at a time may go past it.
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

    /// Reads: from the cache when it is fresh there, otherwise from the database.
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

    /// Makes every reader that comes after this see what was written. Without Redis this is done in the
    /// background when it is there again, and until then this server's readers go past it.
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

    /// Each in its turn, so that one that is refused again and again does not hold up the others.
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

    /// A fill by this server. A task of its own: others wait for it, and its first reader may hang up.
    fn start_filling(self: &Arc<Self>, key: &str, token: Token, latest: bool) -> Fill {
        let (cache, key) = (Arc::clone(self), key.to_owned());
        self.begin(token, Duration::ZERO, async move { cache.fill(&key, token, latest).await })
    }

    /// A fill that is under way, on this server or on another one.
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
        // Without Redis nothing is kept, and nobody else waits.
        let _ = match &outcome {
            Ok(found) => self.copies.complete_fill(key, token, found, rand::random()).await,
            Err(error) => self.copies.give_up(key, token, Reason::of(error)).await,
        };
        outcome
    }

    /// Looks again and again, until somebody's answer is there or it is this server's turn to ask.
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

    /// Asks the database, unless too many do so already: without the cache it cannot serve everybody,
    /// and those it cannot serve in time it need not be asked for.
    async fn read_past(&self, key: &str) -> Result<Option<Document>, StoreError> {
        let Ok(_permit) = self.past_it.try_acquire() else {
            self.metrics.bypass_refused.inc();
            return Err(StoreError::TooManyPastTheCache);
        };
        self.database.read(key, Read::Local).await
    }
}
