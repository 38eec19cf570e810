//! Values from a closed set or range. They are checked while a chapter is parsed, so that a mistake is
//! reported with its line before anything starts.

use std::fmt::Display;
use std::ops::RangeInclusive;

use bytesize::ByteSize;
use serde::de::{Deserialize, Deserializer, Error};

use crate::suggest;

/// The load-balancing policies of a balancer.
pub(super) const POLICIES: &[&str] = &["round-robin", "least-busy", "two-choices", "sticky"];
/// The owners of the secret that signs a sticky balancer's cookies.
pub(super) const STICKY_SECRETS: &[&str] = &["shared", "own"];
/// The health checks of a balancer.
pub(super) const HEALTH: &[&str] = &["on", "connect", "off"];
/// The places where a web server can cache products.
pub(super) const CACHES: &[&str] = &["none", "local", "redis"];
/// The places where a web server can keep sessions.
pub(super) const SESSIONS: &[&str] = &["memory", "redis"];
/// The replication modes of a database: when it acknowledges a write.
pub(super) const REPLICATIONS: &[&str] = &["async", "sync", "quorum"];

/// Parses a balancer's policy.
pub(super) fn policy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, "policy", POLICIES)
}

/// Parses the owner of the secret that signs a sticky balancer's cookies.
pub(super) fn sticky_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, "sticky-secret", STICKY_SECRETS)
}

/// Parses a balancer's health checks.
pub(super) fn health<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, "health", HEALTH)
}

/// Parses the place of a web server's cache.
pub(super) fn cache<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, "cache", CACHES)
}

/// Parses the place of a web server's sessions.
pub(super) fn sessions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, "sessions", SESSIONS)
}

/// Parses a database's replication mode.
pub(super) fn replication<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, "replication", REPLICATIONS)
}

/// Parses a machine's cores.
pub(super) fn cores<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, "cores", 1..=1024)
}

/// Parses the cores of a machine that is resized.
pub(super) fn changed_cores<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    cores(deserializer).map(Some)
}

/// Parses a machine's disk operations per second.
pub(super) fn disk_iops<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, "disk-iops", 1..=1_000_000)
}

/// Parses the share of work that stops everything else on a machine.
pub(super) fn exclusive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, "exclusive", 0.0..=0.99)
}

/// Parses the panic threshold: the percentage of healthy upstreams below which health checks are ignored.
pub(super) fn panic_threshold<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    within(deserializer, "panic-threshold", 0..=100).map(Some)
}

/// Parses the path of a health check.
pub(super) fn health_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let path = String::deserialize(deserializer)?;
    if path.starts_with('/') && path.parse::<http::uri::PathAndQuery>().is_ok() {
        return Ok(Some(path));
    }
    Err(D::Error::custom(format!("health-path is a path that begins with /, such as /healthz, not '{path}'")))
}

/// Parses the number of a traffic's keys.
pub(super) fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within(deserializer, "keys", 1..=1_000_000_000)
}

/// Parses an amount of memory.
pub(super) fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let text = MemoryText::deserialize(deserializer)?.0;
    text.parse().map_err(|_| D::Error::custom(format!("'{text}' is not a size such as 80MiB or 2GiB")))
}

/// Parses an optional amount of memory.
pub(super) fn some_memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteSize>, D::Error> {
    memory(deserializer).map(Some)
}

/// The text of a size. A number without a unit is refused with an explanation.
struct MemoryText(String);

impl<'de> Deserialize<'de> for MemoryText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = MemoryText;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a size such as \"80MiB\" or \"2GiB\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<MemoryText, E> {
                Ok(MemoryText(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

fn word<'de, D: Deserializer<'de>>(
    deserializer: D,
    what: &str,
    known: &[&str],
) -> Result<Option<String>, D::Error> {
    let word = String::deserialize(deserializer)?;
    if known.contains(&word.as_str()) {
        return Ok(Some(word));
    }
    Err(D::Error::custom(suggest::unknown(what, &word, known.iter().copied())))
}

fn within<'de, D: Deserializer<'de>, N: Deserialize<'de> + PartialOrd + Display>(
    deserializer: D,
    what: &str,
    range: RangeInclusive<N>,
) -> Result<N, D::Error> {
    let number = N::deserialize(deserializer)?;
    if range.contains(&number) {
        return Ok(number);
    }
    Err(D::Error::custom(format!("{what} is from {} to {}, not {number}", range.start(), range.end())))
}
