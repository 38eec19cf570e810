//! The address of Redis, and the prefix of every key.

use ::redis::RedisConnectionInfo;

/// How to find Redis and log in to it.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// How to find it.
    pub place: RedisPlace,
    /// User, password and database. Its `Debug` shows no password.
    pub login: RedisConnectionInfo,
    /// The prefix of every key.
    pub prefix: String,
}

/// How to find Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisPlace {
    /// At one address, as `host:port`.
    Fixed(String),
    /// At the address that the Sentinels report.
    Sentinels {
        /// The Sentinels, each as `host:port`.
        nodes: Vec<String>,
        /// The name of the primary in the Sentinels' configuration.
        primary: String,
    },
}
