//! The one task that connects to Redis, watches the connection, and probes it periodically.
//!
//! It logs each change once, in Redis' own words.

use std::collections::HashSet;
use std::sync::Arc;

use ::redis::Script;
use ::redis::aio::MultiplexedConnection;
use machine::network::Network;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Link;
use super::config::RedisConfig;
use super::failure::{Blame, Failure};
use super::primary::{self, Connected, NoPrimary};
use super::probe::{PROBE_EVERY, Prober};
use super::refusal::Refusal;
use super::writes::{Probe, Standing};
use crate::metrics::RedisMetrics;

/// Unanswered probes in a row after which the connection is given up.
const SILENT_MAX: u32 = 3;

/// Finds the primary, publishes a connection to it, watches it, and starts over when it is lost.
pub(super) struct Keeper {
    pub(super) link: Arc<watch::Sender<Link>>,
    pub(super) complaints: Arc<Complaints>,
    pub(super) config: RedisConfig,
    /// Loaded into each Redis after connecting: otherwise many concurrent requests that find it empty would
    /// each load the same scripts.
    pub(super) scripts: Vec<Script>,
    pub(super) prober: Prober,
    pub(super) network: Network,
    pub(super) metrics: RedisMetrics,
}

/// Refused requests, which the keeper investigates.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    state: Mutex<Heard>,
    there_is_one: Notify,
}

#[derive(Debug, Default)]
struct Heard {
    /// The first refusal that has not been investigated.
    open: Option<Refusal>,
    /// The refusal words seen since Redis last changed.
    words: HashSet<&'static str>,
}

impl Complaints {
    /// Reports a refused request.
    pub(super) fn add(&self, refusal: &Refusal) {
        let mut state = self.state.lock();
        if state.words.insert(refusal.word) {
            state.open.get_or_insert_with(|| refusal.clone());
            self.there_is_one.notify_one();
        }
    }

    /// Requests a probe at once.
    pub(super) fn look_now(&self) {
        self.there_is_one.notify_one();
    }

    fn take(&self) -> Option<Refusal> {
        self.state.lock().open.take()
    }

    fn forget(&self) {
        *self.state.lock() = Heard::default();
    }
}

impl Keeper {
    pub(super) async fn keep(self) {
        let mut said_gone = None;
        let mut last_node = None;
        loop {
            let due = self.link.borrow().breaker.trial_due();
            sleep_until(due.map_or_else(Instant::now, Instant::from_std)).await;
            self.change(|link| link.breaker.trial_began());
            match self.connect().await {
                Ok((connected, sent, probe)) => {
                    tracing::info!(node = connected.node, "Redis answers");
                    let moved =
                        last_node.replace(connected.node.clone()).is_some_and(|last| last != connected.node);
                    match self.publish_while_it_lasts(connected, moved, sent, probe).await {
                        Some(refusal) => tracing::warn!(says = %refusal, "this Redis can no longer be used"),
                        None => tracing::warn!("the connection to Redis is lost"),
                    }
                    said_gone = None;
                }
                Err(error) => {
                    if said_gone.replace(error.word()) != Some(error.word()) {
                        tracing::warn!(%error, "Redis is gone");
                    }
                    self.change(|link| link.breaker.trial_failed(Instant::now().into_std()));
                }
            }
        }
    }

    /// Connects. The connection counts only once a probe has shown what its other end refuses.
    async fn connect(&self) -> Result<(Connected, Instant, Probe), NoPrimary> {
        let connected = primary::connect(&self.config, &self.scripts, &self.network).await?;
        let (sent, node) = (Instant::now(), connected.node.clone());
        match self.prober.try_all(&connected.connection).await {
            Ok(probe) => Ok((connected, sent, probe)),
            Err((Failure::Refused(refusal), _)) => Err(NoPrimary::Refused { node, refusal }),
            Err(_) => Err(NoPrimary::Silent { node }),
        }
    }

    /// Publishes the connection until it ends; returns the refusal that ended it, if there was one.
    async fn publish_while_it_lasts(
        &self,
        connected: Connected,
        moved: bool,
        sent: Instant,
        probe: Probe,
    ) -> Option<Refusal> {
        let Connected { connection, driver, node, led: (way, address), is_in_a_cluster } = connected;
        if is_in_a_cluster {
            tracing::warn!(
                node,
                "Redis is a member of a cluster, which the shop does not follow: what belongs to other members is not kept"
            );
        }
        let mut withdrawn = self.link.subscribe();
        self.metrics.connects.inc();
        self.complaints.forget();
        if moved {
            // The previous primary may have been told to remove something that this one still has.
            self.change(|link| link.writes.interrupted(Instant::now().into_std()));
        }
        self.note(sent, probe);
        self.change(|link| {
            link.breaker.trial_succeeded();
            link.connection = Some(connection.clone());
            link.generation += 1;
        });
        let said = tokio::select! {
            _ = driver => None,
            _ = withdrawn.wait_for(|link| link.connection.is_none()) => None,
            // The name leads to another address now.
            () = way.leaves(address) => None,
            said = self.probe_until_lost(connection, sent) => said,
        };
        self.change(|link| {
            link.breaker.lost(Instant::now().into_std());
            link.withdraw_unless_closed();
            link.writes.lost();
            if said.is_some() {
                link.writes.interrupted(Instant::now().into_std());
            }
        });
        self.metrics.set_write_state(Standing::Unknown.name());
        said
    }

    /// Probes until Redis says that it is the wrong server, or fails to answer too often.
    async fn probe_until_lost(
        &self,
        connection: MultiplexedConnection,
        mut sent: Instant,
    ) -> Option<Refusal> {
        let mut silent = 0;
        while silent < SILENT_MAX {
            // A refused request is investigated at once.
            let _ = timeout_at(sent + PROBE_EVERY, self.complaints.there_is_one.notified()).await;
            sent = Instant::now();
            match self.prober.try_all(&connection).await {
                Ok(probe) => {
                    silent = 0;
                    self.note(sent, probe);
                }
                Err((Failure::Refused(refusal), Blame::Lost)) => return Some(refusal),
                Err((_, Blame::Lost)) => return None,
                Err(_) => silent += 1,
            }
        }
        None
    }

    /// Records a probe's result, and logs it if it differs from the previous one.
    fn note(&self, sent: Instant, probe: Probe) {
        let now = Instant::now().into_std();
        let (mut before, mut changed, mut after) = Default::default();
        self.link.send_if_modified(|link| {
            // A reader may be waiting for it.
            let was_believed = link.writes.believed_from(now).is_some();
            before = link.writes.standing().clone();
            changed = link.writes.probed(sent.into_std(), now, probe);
            after = link.writes.standing().clone();
            changed || !was_believed
        });
        let complaint = self.complaints.take();
        if changed {
            self.complaints.forget();
            self.metrics.set_write_state(after.name());
            say(&before, &after);
        } else if let Some(refusal) = complaint.filter(|refusal| !after.explains(refusal)) {
            tracing::warn!(says = %refusal, "Redis refuses some of the shop's requests; {}", refusal.hint());
        }
    }

    fn change(&self, change: impl FnOnce(&mut Link)) {
        self.link.send_modify(change);
        self.metrics.set_breaker_state(self.link.borrow().breaker.position().name());
    }
}

/// Logs one line for each change.
fn say(before: &Standing, after: &Standing) {
    match (before, after) {
        (_, Standing::Refused(refusal)) => tracing::warn!(
            says = %refusal,
            "Redis refuses what the shop needs: for now, reads bypass the cache, and sessions are \
             read-only; {}",
            refusal.hint()
        ),
        (_, Standing::Full(refusal)) => tracing::warn!(
            says = %refusal,
            "Redis is full and stores nothing new until it has room; {}",
            refusal.hint()
        ),
        (Standing::Refused(_) | Standing::Full(_), Standing::Accepted) => {
            tracing::info!("Redis takes everything again");
        }
        _ => {}
    }
}
