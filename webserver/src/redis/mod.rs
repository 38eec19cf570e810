//! Redis, as sessions and the cache see it: asked within limits, and left alone while it is gone.
//!
//! ```text
//! request ──> connection published? ──no──> Down, at once
//!                │ yes
//!                └──> ask, 250 ms at most ──> answer, Refused or Unanswered
//!                                                 │ lost, or silent too often
//!  keeper: finds the primary, publishes a  <──────┘
//!          connection to it, watches it
//! ```
//!
//! No request ever connects or tries a second time. One background task, the keeper, does the
//! connecting, and asks the Sentinels anew each time; so a dead Redis costs a request nothing, and a
//! new primary is found without a request. Knows nothing of sessions or copies.

/// When Redis is asked, and when it is left alone ◇.
mod breaker;
/// Why Redis did not do what it was asked to.
mod failure;
/// From a configuration to a connection to the primary.
mod primary;

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, FromRedisValue, RedisResult, Script, ScriptInvocation};
use machine::network::Network;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

pub use breaker::Position;
pub use failure::Failure;

use crate::config::RedisConfig;
use crate::metrics::RedisMetrics;
use breaker::Breaker;
use failure::{Blame, judge};
use primary::Connected;

/// For a connection to be established.
const CONNECT_LIMIT: Duration = Duration::from_millis(300);

/// For one answer, whatever it takes to get it.
const RESPONSE_LIMIT: Duration = Duration::from_millis(250);

/// Redis. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Redis {
    link: Arc<watch::Sender<Link>>,
    metrics: RedisMetrics,
    _keeper: Arc<AbortOnDropHandle<()>>,
}

/// What requests go by. There is a connection exactly while the breaker is closed.
#[derive(Debug)]
struct Link {
    breaker: Breaker,
    connection: Option<MultiplexedConnection>,
    /// Counts connections: a report about an earlier one says nothing about this one.
    generation: u64,
}

impl Redis {
    /// The Redis that is configured, and what it will be asked to run. Waits for the first attempt to
    /// connect, which has limits, and not for its success: Redis may come later, and go and come back.
    pub async fn open(
        config: RedisConfig,
        scripts: Vec<Script>,
        network: Network,
        metrics: RedisMetrics,
    ) -> Self {
        let breaker = Breaker::new(Instant::now().into_std());
        let link = Arc::new(watch::Sender::new(Link { breaker, connection: None, generation: 0 }));
        let mut first_attempt = link.subscribe();
        let keeper = Keeper { link: Arc::clone(&link), config, scripts, network, metrics: metrics.clone() };
        let keeper = Arc::new(AbortOnDropHandle::new(tokio::spawn(keeper.keep())));
        // The keeper first says that it tries, and then what came of it.
        let tried = |link: &Link| link.breaker.position() != Position::HalfOpen;
        let waiting = async {
            first_attempt.changed().await?;
            first_attempt.wait_for(tried).await.map(drop)
        };
        if timeout(2 * (CONNECT_LIMIT + 2 * RESPONSE_LIMIT) + RESPONSE_LIMIT, waiting).await.is_err() {
            tracing::warn!("the first attempt to reach Redis takes too long; going on without it");
        }
        Self { link, metrics, _keeper: keeper }
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
        self.report(generation, blame);
        Err(failure)
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

/// Finds the primary, publishes a connection to it, watches it, and does so again.
struct Keeper {
    link: Arc<watch::Sender<Link>>,
    config: RedisConfig,
    /// Loaded into each Redis that is connected to: many requests at once that find it new would each
    /// load the same.
    scripts: Vec<Script>,
    network: Network,
    metrics: RedisMetrics,
}

impl Keeper {
    async fn keep(self) {
        let mut said_gone = false;
        loop {
            let due = self.link.borrow().breaker.trial_due();
            sleep_until(due.map_or_else(Instant::now, Instant::from_std)).await;
            self.change(|link| link.breaker.trial_began());
            match primary::connect(&self.config, &self.scripts, &self.network).await {
                Ok(connected) => {
                    tracing::info!(node = connected.node, "Redis answers");
                    self.publish_while_it_lasts(connected).await;
                    tracing::warn!("the connection to Redis is lost");
                    said_gone = false;
                }
                Err(error) => {
                    if !std::mem::replace(&mut said_gone, true) {
                        tracing::warn!(%error, "Redis is gone");
                    }
                    self.change(|link| link.breaker.trial_failed(Instant::now().into_std()));
                }
            }
        }
    }

    async fn publish_while_it_lasts(&self, connected: Connected) {
        let mut withdrawn = self.link.subscribe();
        self.metrics.connects.inc();
        self.change(|link| {
            link.breaker.trial_succeeded();
            link.connection = Some(connected.connection);
            link.generation += 1;
        });
        tokio::select! {
            _ = connected.driver => {}
            _ = withdrawn.wait_for(|link| link.connection.is_none()) => {}
            // Whoever is there now is not who is meant.
            () = connected.led.0.leaves(connected.led.1) => {}
        }
        self.change(|link| {
            link.breaker.lost(Instant::now().into_std());
            link.withdraw_unless_closed();
        });
    }

    fn change(&self, change: impl FnOnce(&mut Link)) {
        self.link.send_modify(change);
        self.metrics.breaker_stands(self.link.borrow().breaker.position());
    }
}
