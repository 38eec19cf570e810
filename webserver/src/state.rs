//! The state that handlers share.

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

/// The shop: one per server, shared by all its requests.
#[derive(Debug)]
pub struct Shop {
    /// The configuration.
    pub config: Config,
    /// The machine that its work is charged to.
    pub machine: Machine,
    /// The database and its cache.
    pub store: Store,
    /// The sessions.
    pub sessions: Sessions,
    /// The session cookies.
    pub cookies: Cookies,
    /// The metrics.
    pub metrics: Metrics,
    /// The memory that the idle server holds on its machine.
    _resident: Held,
}

impl Shop {
    /// Opens a shop with metrics on `vitals`. Neither the database nor Redis must be available yet:
    /// they may start later, and come and go.
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
