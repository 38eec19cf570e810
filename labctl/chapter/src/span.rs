//! A duration in a chapter file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Serialize};

/// The longest duration: no chapter takes longer, and the lab's programs accept no more.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A duration, written `500ms` or `3s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(span) if span > LONGEST => Err(format!("'{text}' is too long: one day at most")),
            Ok(span) => Ok(Self(span)),
            Err(error) => Err(format!("'{text}' is not a length of time such as 500ms or 3s: {error}")),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Serialized as it is written.
impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Expects a text; for any other type the error says what belongs there.
struct Text;

impl serde::de::Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a length of time such as \"500ms\" or \"3s\"")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        json_schema!({ "type": "string", "description": "A length of time: 500ms, 3s, 2m.", "pattern": "^[0-9]" })
    }
}

/// Formats the duration as the flags of the lab's programs expect it.
impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(formatter)
    }
}
