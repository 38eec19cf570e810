//! Where Redis is, and what every key begins with.

use ::redis::RedisConnectionInfo;

/// How to find and enter Redis.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// Where to look for it.
    pub place: RedisPlace,
    /// User, password and database. Its `Debug` shows no password.
    pub login: RedisConnectionInfo,
    /// What every key begins with.
    pub prefix: String,
}

/// Where to look for Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisPlace {
    /// At one address, as `host:port`.
    Fixed(String),
    /// Where the Sentinels say.
    Sentinels {
        /// The Sentinels, each as `host:port`.
        nodes: Vec<String>,
        /// The name by which they know the primary.
        primary: String,
    },
}
