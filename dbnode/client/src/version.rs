//! Versions of records.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The low bits of a version hold the log index; the term is above them.
const INDEX_BITS: u32 = 40;

/// The version of a record: the term and log index of the write that set it, in one number. It only
/// grows, even if the record was deleted in between, so a new record is never taken for an old one.
///
/// The term is part of it because an index is reused if its entry was lost with its primary (which
/// `async` replication allows): a compare-and-set against the lost write must not succeed against
/// the entry that replaced it. There is room for 16 million terms and 10¹² entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

impl Version {
    /// The version given by the entry of this term and index.
    pub const fn of(term: u64, index: u64) -> Self {
        debug_assert!(index < 1 << INDEX_BITS && term < 1 << (64 - INDEX_BITS));
        Self(term << INDEX_BITS | index)
    }

    /// The term of the primary that accepted the write.
    pub const fn term(self) -> u64 {
        self.0 >> INDEX_BITS
    }

    /// The log index of the write.
    pub const fn index(self) -> u64 {
        self.0 & ((1 << INDEX_BITS) - 1)
    }

    /// The version as an entity tag for `ETag` and `If-Match`: term and index, quoted.
    pub fn etag(self) -> String {
        format!("\"{self}\"")
    }

    /// Parses what [`etag`](Self::etag) returns, and nothing else.
    pub fn from_etag(text: &str) -> Option<Self> {
        Self::parse(text.strip_prefix('"')?.strip_suffix('"')?)
    }

    /// Parses `term.index`.
    pub fn parse(text: &str) -> Option<Self> {
        let (term, index) = text.split_once('.')?;
        let (term, index) = (number(term)?, number(index)?);
        (term < 1 << (64 - INDEX_BITS) && index < 1 << INDEX_BITS).then(|| Self::of(term, index))
    }
}

fn number(text: &str) -> Option<u64> {
    // `parse` alone would also accept "+7".
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.term(), self.index())
    }
}

/// Serialized as `"term.index"` in human-readable formats, because not every JSON parser can
/// represent the number; as the number between nodes.
impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("a version is two numbers with a dot between them"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_read_as_it_was_written() {
        let version = Version::of(3, 42);
        assert_eq!(version.etag(), "\"3.42\"");
        assert_eq!(Version::from_etag(&version.etag()), Some(version));
    }

    #[test]
    fn a_later_term_is_a_later_version_whatever_its_place() {
        assert!(Version::of(2, 7) > Version::of(1, 900));
    }

    #[test]
    fn nothing_but_a_quoted_term_and_place_is_a_version() {
        for text in ["", "1.42", "\"\"", "\"42\"", "\"+1.42\"", "W/\"1.42\"", "\"4. 2\"", "*", "\"1.2.3\""] {
            assert_eq!(Version::from_etag(text), None, "{text}");
        }
        assert_eq!(Version::from_etag("\"1.9999999999999\""), None, "there is no such place");
        assert_eq!(Version::from_etag("\"99999999999999999999.1\""), None);
    }
}
