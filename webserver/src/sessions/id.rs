//! Session ids, and the keys that sessions are stored under.

use std::fmt;

use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};

const ID_BYTES: usize = 16;

/// A session's id: 128 bits that only the server and its visitor know. It is a bearer token, so it
/// is never logged and never stored.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId([u8; ID_BYTES]);

/// The key that a session is stored under: the SHA-256 of its id. So read access to the store is
/// not enough to take over a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey(String);

impl SessionId {
    /// Creates an id from the operating system's randomness.
    pub fn random() -> Self {
        let mut bytes = [0; ID_BYTES];
        SysRng.try_fill_bytes(&mut bytes).expect("the operating system has randomness once it has booted");
        Self(bytes)
    }

    /// Parses the output of [`to_text`](Self::to_text), and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let lower_case = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let mut bytes = [0; ID_BYTES];
        (lower_case && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(Self(bytes))
    }

    /// The cookie's value.
    pub fn to_text(&self) -> String {
        hex::encode(self.0)
    }

    /// The key that the session is stored under.
    pub fn key(&self) -> SessionKey {
        SessionKey(hex::encode(Sha256::digest(self.0)))
    }
}

impl SessionKey {
    /// In hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionId(secret)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written_and_nothing_else_is_one() {
        let id = SessionId::random();
        let text = id.to_text();
        assert_eq!((text.len(), SessionId::parse(&text)), (32, Some(id)));
        let (upper, long, short) = (text.to_uppercase() + "A", format!("{text}0"), &text[1..]);
        for text in ["", "0", &upper, &long, short, &"g".repeat(32), &"A".repeat(32), &"é".repeat(16)] {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ids_do_not_repeat_and_their_bits_are_fair() {
        let ids: Vec<_> = (0..20_000).map(|_| SessionId::random()).collect();
        assert_eq!(ids.iter().map(SessionId::to_text).collect::<HashSet<_>>().len(), ids.len());
        for bit in 0..8 * ID_BYTES {
            let ones = ids.iter().filter(|id| id.0[bit / 8] >> (bit % 8) & 1 == 1).count();
            // Ten thousand are expected, with a standard deviation of 71.
            assert!((9_500..10_500).contains(&ones), "bit {bit} is set in {ones} of {}", ids.len());
        }
    }

    #[test]
    fn neither_the_key_nor_the_log_shows_the_id() {
        let id = SessionId::random();
        assert!(!id.key().as_str().contains(&id.to_text()));
        assert!(!format!("{id:?}").contains(&id.to_text()));
        assert_eq!(id.key(), SessionId::parse(&id.to_text()).unwrap().key());
    }
}
