//! A length of time in a chapter file.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// A length of time, written `500ms` or `3s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(|error| {
            let message = format!("'{text}' is not a length of time such as 500ms or 3s: {error}");
            serde::de::Error::custom(message)
        })
    }
}

/// As flags of the lab's programs are written.
impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(formatter)
    }
}
