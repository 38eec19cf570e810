//! Values of which there are only some. They are looked at while a chapter is read, so that a mistake is
//! named with its line, before anything starts.

use std::fmt::Display;
use std::ops::RangeInclusive;

use bytesize::ByteSize;
use serde::de::{Deserialize, Deserializer, Error};

use crate::suggest;

/// How a balancer may choose.
pub(super) const POLICIES: &[&str] = &["round-robin", "least-busy", "two-choices", "sticky"];
/// Whose secret a sticky balancer may sign with.
pub(super) const STICKY_SECRETS: &[&str] = &["shared", "own"];
/// How a balancer may check its upstreams.
pub(super) const HEALTH: &[&str] = &["on", "connect", "off"];
/// Where a web server may keep copies.
pub(super) const CACHES: &[&str] = &["none", "local", "redis"];
/// Where a web server may keep sessions.
pub(super) const SESSIONS: &[&str] = &["memory", "redis"];
/// When a database may acknowledge a write.
pub(super) const REPLICATIONS: &[&str] = &["async", "sync", "quorum"];

/// How a balancer chooses.
pub(super) fn policy<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, "policy", POLICIES)
}

/// Who knows the secret that a sticky balancer signs with.
pub(super) fn sticky_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, "sticky-secret", STICKY_SECRETS)
}

/// How a balancer checks its upstreams.
pub(super) fn health<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, "health", HEALTH)
}

/// Where a web server keeps copies.
pub(super) fn cache<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, "cache", CACHES)
}

/// Where a web server keeps sessions.
pub(super) fn sessions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, "sessions", SESSIONS)
}

/// When a database acknowledges a write.
pub(super) fn replication<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, "replication", REPLICATIONS)
}

/// A machine's cores.
pub(super) fn cores<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, "cores", 1..=1024)
}

/// The cores of a machine that gets another size.
pub(super) fn changed_cores<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    cores(deserializer).map(Some)
}

/// What a machine's disk does in a second.
pub(super) fn disk_iops<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, "disk-iops", 1..=1_000_000)
}

/// The share of work that stops everybody else on a machine.
pub(super) fn exclusive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    within(deserializer, "exclusive", 0.0..=0.99)
}

/// How few upstreams may be well, in percent, before checks are not believed.
pub(super) fn panic_threshold<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    within(deserializer, "panic-threshold", 0..=100).map(Some)
}

/// What a health check asks for.
pub(super) fn health_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let path = String::deserialize(deserializer)?;
    if path.starts_with('/') && path.parse::<http::uri::PathAndQuery>().is_ok() {
        return Ok(Some(path));
    }
    Err(D::Error::custom(format!("health-path is a path that begins with /, such as /healthz, not '{path}'")))
}

/// How many keys a traffic has.
pub(super) fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within(deserializer, "keys", 1..=1_000_000_000)
}

/// An amount of memory.
pub(super) fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let text = MemoryText::deserialize(deserializer)?.0;
    text.parse().map_err(|_| D::Error::custom(format!("'{text}' is not a size such as 80MiB or 2GiB")))
}

/// An amount of memory that may be left out.
pub(super) fn some_memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteSize>, D::Error> {
    memory(deserializer).map(Some)
}

/// A text that is a size, so that a number without a unit is refused in these words.
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
