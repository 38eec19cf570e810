//! Which database, and what keeps copies of it.

use std::time::Duration;

use super::freshness::Rules;

/// The database and how long to wait for it.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// Its nodes, each as `host:port`.
    pub nodes: Vec<String>,
    /// For one call, with everything.
    pub timeout: Duration,
}

/// Where products are kept once they were read.
#[derive(Debug, Clone)]
pub enum CacheConfig {
    /// Nowhere.
    None,
    /// In this process.
    Local {
        /// How many products it holds.
        entries: u64,
        /// When a copy is fresh, stale, or of no use.
        rules: Rules,
    },
    /// In Redis.
    Redis {
        /// When a copy is fresh, stale, or of no use.
        rules: Rules,
        /// How many reads may go past it at a time while it is gone.
        bypass_max: usize,
    },
}
