//! Keys of records.

#![deny(clippy::disallowed_methods)]

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A record's key: 1 to 512 bytes of UTF-8 without a NUL. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(Arc<str>);

/// Why a text is not a valid key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// The text is empty.
    #[error("a key has at least one character")]
    Empty,
    /// It is longer than [`Key::BYTES_MAX`].
    #[error("a key has at most {} bytes; this one has {bytes}", Key::BYTES_MAX)]
    TooLong {
        /// The text's length in bytes.
        bytes: usize,
    },
    /// It contains a NUL.
    #[error("a key contains no NUL character")]
    Nul,
}

impl Key {
    /// The maximum length of a key, in bytes.
    pub const BYTES_MAX: usize = 512;

    /// Validates a text as a key.
    pub fn new(text: &str) -> Result<Self, BadKey> {
        match text {
            "" => Err(BadKey::Empty),
            _ if text.len() > Self::BYTES_MAX => Err(BadKey::TooLong { bytes: text.len() }),
            _ if text.contains('\0') => Err(BadKey::Nul),
            _ => Ok(Self(text.into())),
        }
    }

    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_to_512_bytes_without_nul() {
        assert!(Key::new("product-1/größe").is_ok());
        assert!(Key::new(&"k".repeat(512)).is_ok());
        assert_eq!(Key::new(""), Err(BadKey::Empty));
        assert_eq!(Key::new(&"k".repeat(513)), Err(BadKey::TooLong { bytes: 513 }));
        assert_eq!(Key::new("a\0b"), Err(BadKey::Nul));
    }
}
