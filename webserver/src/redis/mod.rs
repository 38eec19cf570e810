//! Redis, as sessions and the cache see it: every call has a time limit, and none is made while Redis is
//! gone.
//!
//! ```text
//! request ──> connection published? ──no──> Down, at once
//!                │ yes
//!                └──> ask, 250 ms at most ──> answer, Refused or Unanswered
//!                                                 │ lost, or silent too often
//!  keeper: finds the primary, publishes a  <──────┘
//!          connection to it, watches it, and
//!          tries whether it takes writes
//! ```
//!
//! No request ever connects or retries. One background task, the keeper, does the connecting, and asks the
//! Sentinels again each time. So a dead Redis costs a request nothing, and a new primary is found without a
//! request. This module knows nothing of sessions or copies.

mod breaker;
/// The address of Redis, and the prefix of every key.
mod config;
/// Why a call to Redis failed.
mod failure;
/// The greeting on a new connection.
mod greeting;
/// The task that connects to Redis, and watches the connection.
mod keeper;
/// Finds the primary and connects to it.
mod primary;
/// Probes whether Redis can do what the shop needs.
mod probe;
mod refusal;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, FromRedisValue, RedisResult, Script, ScriptInvocation};
use machine::network::Network;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

pub use config::{RedisConfig, RedisPlace};
pub use failure::Failure;
pub use refusal::{Meaning, Refusal};

use crate::metrics::RedisMetrics;
use breaker::{Breaker, Position};
use failure::{Blame, judge};
use keeper::{Complaints, Keeper};
use probe::Prober;
use writes::Writes;

/// Time limit for establishing a connection.
const CONNECT_LIMIT: Duration = Duration::from_millis(300);

/// Time limit for one reply, including all its round trips.
const RESPONSE_LIMIT: Duration = Duration::from_millis(250);

/// Time limit for the first attempt to connect: a Sentinel and its reply; then Redis, its greeting and
/// database, the scripts, and the replies to all of them.
const FIRST_ATTEMPT_LIMIT: Duration =
    CONNECT_LIMIT.saturating_mul(2).saturating_add(RESPONSE_LIMIT.saturating_mul(6));

/// The Redis client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Redis {
    link: Arc<watch::Sender<Link>>,
    complaints: Arc<Complaints>,
    metrics: RedisMetrics,
    /// The prefix of every key.
    prefix: Arc<str>,
    _keeper: Arc<AbortOnDropHandle<()>>,
}

/// The state that requests consult. There is a connection exactly while the breaker is closed.
#[derive(Debug)]
struct Link {
    breaker: Breaker,
    connection: Option<MultiplexedConnection>,
    writes: Writes,
    /// Counts connections, so that a report about an earlier one is not applied to this one.
    generation: u64,
}

/// A use of Redis: a kind of keys, and the scripts that use them.
#[derive(Debug)]
pub struct Purpose {
    /// The prefix of its keys, after the common prefix.
    pub keys: &'static str,
    /// The scripts that it runs.
    pub scripts: Vec<Script>,
}

impl Redis {
    /// Creates the client for these purposes. Waits for the first attempt to connect to end, but not for
    /// its success: Redis may start later, and come and go.
    pub async fn open(
        config: RedisConfig,
        purposes: Vec<Purpose>,
        network: Network,
        metrics: RedisMetrics,
    ) -> Self {
        let breaker = Breaker::new(Instant::now().into_std());
        let link = Link { breaker, connection: None, writes: Writes::default(), generation: 0 };
        let link = Arc::new(watch::Sender::new(link));
        let mut first_attempt = link.subscribe();
        let complaints = Arc::new(Complaints::default());
        let prefix = Arc::from(&*config.prefix);
        // No session and no document has this name.
        let beside = |purpose: &Purpose| format!("{prefix}{}probe", purpose.keys);
        let prober = Prober::new(purposes.iter().map(beside).collect());
        let mut scripts = vec![prober.script()];
        scripts.extend(purposes.into_iter().flat_map(|purpose| purpose.scripts));
        let keeper = Keeper {
            link: Arc::clone(&link),
            complaints: Arc::clone(&complaints),
            config,
            scripts,
            prober,
            network,
            metrics: metrics.clone(),
        };
        let keeper = Arc::new(AbortOnDropHandle::new(tokio::spawn(keeper.keep())));
        // The keeper first publishes that it tries, and then the result.
        let tried = |link: &Link| link.breaker.position() != Position::HalfOpen;
        let waiting = async {
            first_attempt.changed().await?;
            first_attempt.wait_for(tried).await.map(drop)
        };
        if timeout(FIRST_ATTEMPT_LIMIT, waiting).await.is_err() {
            tracing::warn!("the first attempt to reach Redis takes too long; going on without it");
        }
        Self { link, complaints, metrics, prefix, _keeper: keeper }
    }

    /// Builds the full name of a key.
    pub fn key(&self, kind: &'static str, name: &str) -> String {
        [&*self.prefix, kind, name].concat()
    }

    /// Runs one command.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.guarded(async |mut connection| command.query_async(&mut connection).await).await
    }

    /// Runs a script atomically. It is already loaded, unless the script cache was flushed since; then this
    /// takes three round trips, within the same limit.
    pub async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Failure> {
        self.guarded(async |mut connection| script.invoke_async(&mut connection).await).await
    }

    /// Returns the time from which copies are trusted, by Redis' own clock in milliseconds. No copy is
    /// trusted while Redis takes no writes, because it could not be removed. If the last probe is too old,
    /// because this process was frozen, a new one is made first.
    pub async fn copies_believed_from(&self) -> Result<u64, Failure> {
        let known = self.believed_from();
        if matches!(known, Err(Failure::Doubtful)) && !self.link.borrow().writes.refuses() {
            self.complaints.look_now();
            let mut link = self.link.subscribe();
            let now = || Instant::now().into_std();
            let tried = |link: &Link| {
                link.connection.is_none()
                    || link.writes.refuses()
                    || link.writes.believed_from(now()).is_some()
            };
            let _ = timeout(RESPONSE_LIMIT, link.wait_for(tried)).await;
            return self.believed_from();
        }
        known
    }

    fn believed_from(&self) -> Result<u64, Failure> {
        let link = self.link.borrow();
        link.connection.as_ref().ok_or(Failure::Down)?;
        link.writes.believed_from(Instant::now().into_std()).ok_or(Failure::Doubtful)
    }

    /// Returns once every server that uses this Redis knows that it takes no writes; at once while it does
    /// take them.
    pub async fn refusal_is_known_to_all(&self) {
        let known = self.link.borrow().writes.known_to_all();
        if let Some(known) = known {
            sleep_until(known.into()).await;
        }
    }

    /// Returns once Redis can be called.
    pub async fn available(&self) {
        // The sender lives as long as `self` does.
        let _ = self.link.subscribe().wait_for(|link| link.connection.is_some()).await;
    }

    async fn guarded<T>(
        &self,
        call: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<T, Failure> {
        let (connection, generation) = {
            let link = self.link.borrow();
            (link.connection.clone().ok_or(Failure::Down)?, link.generation)
        };
        let (failure, blame) = match timeout(RESPONSE_LIMIT, call(connection)).await {
            Ok(Ok(answer)) => {
                self.report(generation, Blame::None);
                return Ok(answer);
            }
            Ok(Err(error)) => judge(&error),
            Err(_) => (Failure::Unanswered, Blame::Silent),
        };
        self.metrics.failures.inc();
        if let Failure::Refused(refusal) = &failure {
            self.refused(refusal);
        }
        self.report(generation, blame);
        Err(failure)
    }

    fn refused(&self, refusal: &Refusal) {
        self.metrics.refused(refusal.word);
        let now = Instant::now().into_std();
        self.link.send_if_modified(|link| {
            match refusal.meaning {
                Meaning::WrongServer => link.writes.interrupted(now),
                Meaning::NotNow => link.writes.refused(now),
                Meaning::Full | Meaning::ThisRequest => {}
            }
            false
        });
        self.complaints.add(refusal);
    }

    fn report(&self, generation: u64, blame: Blame) {
        if blame == Blame::None && !self.link.borrow().breaker.remembers_failures() {
            return;
        }
        let now = Instant::now().into_std();
        self.link.send_if_modified(|link| {
            if link.generation != generation {
                return false;
            }
            match blame {
                Blame::None => link.breaker.succeeded(),
                Blame::Silent => link.breaker.failed(now),
                Blame::Lost => link.breaker.lost(now),
            }
            link.withdraw_unless_closed()
        });
    }
}

impl Link {
    /// Returns true if there was a connection to withdraw.
    fn withdraw_unless_closed(&mut self) -> bool {
        self.breaker.position() != Position::Closed && self.connection.take().is_some()
    }
}
