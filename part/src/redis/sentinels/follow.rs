//! The control loop of a node: polls its Sentinel and its Redis, and has Redis do what the Sentinels decided.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::asking::Sentinel;
use super::lead::{self, Lead, Standing, Step};
use super::roads::Roads;
use crate::redis::store::Redis;

/// Polling interval for the Sentinel and Redis.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Polling interval for the other nodes, while some members' addresses are unknown.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Keeps a node's Redis in the role that the Sentinels gave it.
pub(super) struct Follower {
    pub(super) store: Arc<Redis>,
    pub(super) sentinel: Sentinel,
    pub(super) roads: Arc<Roads>,
    pub(super) lead: Arc<Mutex<Lead>>,
}

impl Follower {
    /// Polls until it is aborted.
    pub(super) async fn follow(mut self, mut standing: Standing) {
        let (mut before, mut asked) = (Instant::now(), Instant::now());
        loop {
            sleep(LOOK_EVERY).await;
            let now = Instant::now();
            if now.duration_since(before) > self.lead.lock().away_after {
                tracing::warn!(
                    "this process stood still: whether it is the primary still is asked of the others"
                );
                standing.has_been_away();
            }
            before = now;
            if self.lead.lock().misses_some() && now.duration_since(asked) > ASK_EVERY {
                asked = now;
                self.ask_all().await;
            }
            self.look(&mut standing, now).await;
        }
    }

    async fn look(&mut self, standing: &mut Standing, now: Instant) {
        let of_own_sentinel = self.sentinel.view().await;
        let Some(role) = self.store.role().await else { return };
        let (step, term) = {
            let mut lead = self.lead.lock();
            if let Some(view) = of_own_sentinel {
                lead.of_own_sentinel = Some(view);
                lead.hear(view);
            }
            let Some(view) = lead.view else { return };
            (standing.next(lead.own.door, view, role), lead.term())
        };
        match step {
            Step::Stay => {}
            // Only a fresh answer from its own Sentinel counts: one that does not answer may be the last to learn of a
            // failover.
            Step::Serve if of_own_sentinel.is_some() => self.lead.lock().good_at = Some(now),
            Step::Serve => {}
            Step::Begin => self.begin(standing, term, now).await,
            Step::Confirm => {
                let told = self.ask_all().await;
                let is_confirmed = {
                    let lead = self.lead.lock();
                    lead::is_confirmed(&lead.own, of_own_sentinel, &told)
                };
                if is_confirmed {
                    self.begin(standing, term, now).await;
                }
            }
            Step::Follow(primary) => {
                tracing::info!(%primary, "Redis becomes a replica, as the Sentinels have it");
                if let Err(error) = self.store.replicate(primary).await {
                    tracing::warn!(%error, "Redis did not become a replica; trying again");
                }
            }
        }
    }

    async fn begin(&self, standing: &mut Standing, term: u64, now: Instant) {
        match self.store.begin_term(term).await {
            Ok(()) => {
                standing.serves_now();
                self.lead.lock().good_at = Some(now);
                tracing::info!(term, "this node is the primary");
            }
            Err(error) => tracing::warn!(%error, "Redis does not begin as the primary; trying again"),
        }
    }

    /// Asks the other nodes, and records their reports.
    async fn ask_all(&self) -> Vec<lead::Told> {
        let told = self.roads.ask_all().await;
        let mut lead = self.lead.lock();
        for told in &told {
            lead.learn(told);
            told.view.into_iter().for_each(|view| lead.hear(view));
        }
        told
    }
}
