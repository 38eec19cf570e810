//! The configuration of the database and the cache.

use std::time::Duration;

use super::freshness::Rules;

/// The database and how long to wait for it.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Its nodes, each as `host:port`.
    pub nodes: Vec<String>,
    /// Time limit for one call, everything included.
    pub timeout: Duration,
}

/// The product cache.
#[derive(Debug, Clone)]
pub enum CacheConfig {
    /// No cache.
    None,
    /// In this process's memory.
    Local {
        /// How many products it holds.
        entries: u64,
        /// How long copies are fresh and stale.
        rules: Rules,
    },
    /// In Redis.
    Redis {
        /// How long copies are fresh and stale.
        rules: Rules,
        /// Reads that may bypass the cache at a time while it is gone.
        bypass_max: usize,
    },
}
