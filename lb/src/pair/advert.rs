//! Adverts, the messages of a pair: one datagram of this form.
//!
//! ```text
//!   "lbpair2"  saying  priority  id's length  incarnation  number  echo  id  [HMAC-SHA-256 of all that,
//!                                                                             with the shared secret]
//! ```
//!
//! The secret keeps out an attacker that can send to the port; the numbers also keep out one that can record
//! datagrams and replay them (see `Sequence`).
#![deny(clippy::disallowed_methods)]

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::sequence::Stamp;

const MAGIC: &[u8; 7] = b"lbpair2";
/// Before the id: kind, priority, the id's length, and three numbers.
const FIXED_BYTES: usize = 3 + 3 * 8;
const MAC_BYTES: usize = 32;

/// The longest id, in bytes.
pub const ID_BYTES_MAX: usize = 64;

/// The longest datagram, in bytes.
pub const BYTES_MAX: usize = MAGIC.len() + FIXED_BYTES + ID_BYTES_MAX + MAC_BYTES;

/// What a balancer says about itself to its peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    /// Its state or request.
    pub saying: AdvertKind,
    /// Its priority.
    pub priority: u8,
    /// Its id.
    pub id: String,
}

/// The kinds of adverts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdvertKind {
    /// The sender holds the address.
    Active,
    /// The sender stands by.
    Standby,
    /// The sender wants the address, unless its peer objects.
    Claim,
    /// The sender gives the address up as soon as its peer has it.
    Yield,
    /// The sender has given the address up.
    Gone,
}

const SAYINGS: [AdvertKind; 5] =
    [AdvertKind::Active, AdvertKind::Standby, AdvertKind::Claim, AdvertKind::Yield, AdvertKind::Gone];

/// The key that signs datagrams.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl Secret {
    /// Makes a key from bytes that only the pair knows.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Hmac::new_from_slice(bytes).expect("HMAC takes keys of any length (RFC 2104)"))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Advert {
    /// Encodes the advert as a datagram.
    pub fn encode(&self, stamp: Stamp, secret: Option<&Secret>) -> Vec<u8> {
        let number = SAYINGS.iter().position(|saying| *saying == self.saying).unwrap_or_default();
        let id = &self.id.as_bytes()[..self.id.len().min(ID_BYTES_MAX)];
        let mut bytes = MAGIC.to_vec();
        bytes.extend([number as u8, self.priority, id.len() as u8]);
        for number in [stamp.incarnation, stamp.number, stamp.echo] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(id);
        if let Some(Secret(mac)) = secret {
            bytes.extend(mac.clone().chain_update(&bytes).finalize().into_bytes());
        }
        bytes
    }

    /// Decodes a datagram; `None` unless it is exactly one advert signed with this secret.
    pub fn decode(bytes: &[u8], secret: Option<&Secret>) -> Option<(Self, Stamp)> {
        let said = match secret {
            None => bytes,
            Some(Secret(mac)) => {
                let (said, proof) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
                mac.clone().chain_update(said).verify_slice(proof).ok()?;
                said
            }
        };
        let [saying, priority, length, rest @ ..] = said.strip_prefix(MAGIC)? else { return None };
        let ([incarnation, number, echo], id) = numbers(rest)?;
        let proper = usize::from(*length) == id.len() && (1..=ID_BYTES_MAX).contains(&id.len());
        let id = std::str::from_utf8(id).ok().filter(|_| proper)?.to_owned();
        let advert = Self { saying: *SAYINGS.get(usize::from(*saying))?, priority: *priority, id };
        Some((advert, Stamp { incarnation, number, echo }))
    }
}

/// Splits off three numbers, and returns them with the rest.
fn numbers(bytes: &[u8]) -> Option<([u64; 3], &[u8])> {
    let (numbers, rest) = bytes.split_at_checked(3 * 8)?;
    let (numbers, _) = numbers.as_chunks::<8>();
    Some(([0, 1, 2].map(|place: usize| u64::from_be_bytes(numbers[place])), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn advert(saying: AdvertKind) -> Advert {
        Advert { saying, priority: 100, id: "lb-1".into() }
    }

    const STAMP: Stamp = Stamp { incarnation: 1, number: u64::MAX, echo: 0x0102_0304_0506_0708 };

    #[test]
    fn what_is_said_is_heard() {
        let secret = Secret::new(b"between us");
        for saying in SAYINGS {
            for secret in [None, Some(&secret)] {
                let heard = Advert::decode(&advert(saying).encode(STAMP, secret), secret);
                assert_eq!(heard, Some((advert(saying), STAMP)));
            }
        }
    }

    #[test]
    fn strangers_are_not_heard() {
        let (ours, theirs) = (Secret::new(b"ours"), Secret::new(b"theirs"));
        for secret in [None, Some(&theirs)] {
            assert_eq!(Advert::decode(&advert(AdvertKind::Gone).encode(STAMP, secret), Some(&ours)), None);
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_an_advert_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let secret = Secret::new(b"s");
            prop_assert_eq!(Advert::decode(&bytes, Some(&secret)), None);
            if let Some((advert, stamp)) = Advert::decode(&bytes, None) {
                prop_assert_eq!(advert.encode(stamp, None), bytes);
            }
        }

        #[test]
        fn one_changed_bit_makes_a_stranger(place in 0usize..70, bit in 0u8..8) {
            let secret = Secret::new(b"s");
            let mut bytes = advert(AdvertKind::Claim).encode(STAMP, Some(&secret));
            prop_assert_eq!(bytes.len(), 70);
            bytes[place] ^= 1 << bit;
            prop_assert_eq!(Advert::decode(&bytes, Some(&secret)), None);
        }
    }
}
