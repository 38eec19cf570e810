//! What a handler has at hand.

use std::sync::Arc;

use machine::Machine;
use machine::handle::Held;
use machine::network::Network;
use machine::vitals::Vitals;

use crate::args::SessionsKind;
use crate::config::Config;
use crate::metrics::{Metrics, RedisMetrics};
use crate::redis::Redis;
use crate::sessions::Sessions;
use crate::sessions::cookie::Cookies;
use crate::store::database::Database;
use crate::store::names::LookupError;
use crate::store::{CacheConfig, Store};

/// The shop: one for each server, shared by all its requests.
#[derive(Debug)]
pub struct Shop {
    /// How it is to behave.
    pub config: Config,
    /// What it spends.
    pub machine: Machine,
    /// Where its data is.
    pub store: Store,
    /// Who is logged in.
    pub sessions: Sessions,
    /// How it is told who asks.
    pub cookies: Cookies,
    /// What it counts.
    pub metrics: Metrics,
    /// What it takes of the machine's memory by being there.
    _resident: Held,
}

impl Shop {
    /// A shop that counts on `vitals`. Neither the database nor Redis need be there yet: they may
    /// come later, and go and come back.
    pub async fn open(
        config: Config,
        machine: Machine,
        network: Network,
        vitals: &Vitals,
    ) -> Result<Arc<Self>, LookupError> {
        let metrics = Metrics::new(vitals);
        let database = Database::find(&config.database, network.clone(), &metrics).await?;
        let redis = match config.redis.clone() {
            Some(redis) => {
                let purposes = [
                    (config.sessions.kept == SessionsKind::Redis).then(Sessions::purpose),
                    matches!(config.cache, CacheConfig::Redis { .. }).then(Store::purpose),
                ];
                let purposes = purposes.into_iter().flatten().collect();
                Some(Redis::open(redis, purposes, network, RedisMetrics::new(vitals)).await)
            }
            None => None,
        };
        let store = Store::new(&config.cache, database, redis.clone(), &metrics);
        let lifetime = config.sessions.lifetime;
        let sessions = match redis.filter(|_| config.sessions.kept == SessionsKind::Redis) {
            Some(redis) => Sessions::in_redis(redis, lifetime),
            None => Sessions::in_memory(lifetime),
        };
        let cookies = if config.sessions.secure_cookies { Cookies::Secure } else { Cookies::Plain };
        let resident = machine.hold(config.costs.resident_memory);
        Ok(Arc::new(Self { config, machine, store, sessions, cookies, metrics, _resident: resident }))
    }
}
