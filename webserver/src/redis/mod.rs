//! Redis, as sessions and the cache see it: asked within limits, and left alone while it is gone.
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
//! No request ever connects or tries a second time. One background task, the keeper, does the
//! connecting, and asks the Sentinels anew each time; so a dead Redis costs a request nothing, and a
//! new primary is found without a request. Knows nothing of sessions or copies.

mod breaker;
/// Where it is.
mod config;
/// Why Redis did not do what it was asked to.
mod failure;
/// The first words over a connection.
mod greeting;
/// The one task that connects to Redis, and watches it.
mod keeper;
/// From a configuration to a connection to the primary.
mod primary;
/// Trying whether Redis does what the shop needs of it.
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

/// For a connection to be established.
const CONNECT_LIMIT: Duration = Duration::from_millis(300);

/// For one answer, whatever it takes to get it.
const RESPONSE_LIMIT: Duration = Duration::from_millis(250);

/// For the first attempt to connect: a Sentinel and its answer; Redis, its greeting and its database, the
/// scripts, and what it says to all of them.
const FIRST_ATTEMPT_LIMIT: Duration =
    CONNECT_LIMIT.saturating_mul(2).saturating_add(RESPONSE_LIMIT.saturating_mul(6));

/// Redis. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Redis {
    link: Arc<watch::Sender<Link>>,
    complaints: Arc<Complaints>,
    metrics: RedisMetrics,
    /// Before each key.
    prefix: Arc<str>,
    _keeper: Arc<AbortOnDropHandle<()>>,
}

/// What requests go by. There is a connection exactly while the breaker is closed.
#[derive(Debug)]
struct Link {
    breaker: Breaker,
    connection: Option<MultiplexedConnection>,
    writes: Writes,
    /// Counts connections: a report about an earlier one says nothing about this one.
    generation: u64,
}

/// What Redis is used for: a kind of keys, and the scripts that are run with them.
#[derive(Debug)]
pub struct Purpose {
    /// What its keys begin with, after what all keys begin with.
    pub keys: &'static str,
    /// What will be run.
    pub scripts: Vec<Script>,
}

impl Redis {
    /// The Redis that is configured, and what it will be used for. Waits for the first attempt to
    /// connect, which has limits, and not for its success: Redis may come later, and go and come back.
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
        // No session and no document is called so.
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
        // The keeper first says that it tries, and then what came of it.
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

    /// A key of the shop, as Redis has it.
    pub fn key(&self, kind: &'static str, name: &str) -> String {
        [&*self.prefix, kind, name].concat()
    }

    /// Runs one command.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.guarded(async |mut connection| command.query_async(&mut connection).await).await
    }

    /// Runs a script, in one step as seen by everybody else. It is loaded already, unless somebody has
    /// flushed it since; then this takes three round trips, within the same limit.
    pub async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Failure> {
        self.guarded(async |mut connection| script.invoke_async(&mut connection).await).await
    }

    /// From when on copies are to be believed, by Redis' own clock in milliseconds. No copy is while Redis
    /// takes no writes: nobody could remove it. Where that was not tried for too long, because this process
    /// stood still, it is tried first.
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

    /// Returns when every server that uses this Redis knows that it takes no writes; at once while it does.
    pub async fn refusal_is_known_to_all(&self) {
        let known = self.link.borrow().writes.known_to_all();
        if let Some(known) = known {
            sleep_until(known.into()).await;
        }
    }

    /// Returns when Redis can be asked.
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
    /// True when there was a connection to withdraw.
    fn withdraw_unless_closed(&mut self) -> bool {
        self.breaker.position() != Position::Closed && self.connection.take().is_some()
    }
}
