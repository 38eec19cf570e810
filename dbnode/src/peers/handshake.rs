//! Mutual authentication of two members: a challenge and response in both directions (HMAC-SHA-256
//! with a shared secret). A recorded handshake cannot be replayed.

#![deny(clippy::disallowed_methods)]

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::agreement::{self, Agreement};
use crate::replication::life::Life;
use crate::replication::member::{ClusterId, Name};

/// The version of the peer protocol.
pub(super) const VERSION: u32 = 3;

/// The secret shared by the members of a cluster.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// A proof that the sender knows the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Proof([u8; 32]);

/// The first message of each side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Introduction {
    pub(super) version: u32,
    pub(super) from: Name,
    pub(super) to: Name,
    pub(super) life: Arc<Life>,
    pub(super) cluster: Option<ClusterId>,
    pub(super) agreement: Agreement,
    /// The address at which clients reach the sender.
    pub(super) advertised: String,
    /// A random number that was never used before.
    pub(super) nonce: [u8; 32],
}

/// The acceptor's answer to an introduction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// Its own introduction, and its proof.
    Introduced(Introduction, Proof),
    /// Why it refuses the connection.
    Refused(String),
}

/// The side that makes a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The side that opened the connection.
    Dialer,
    /// The side that accepted the connection.
    Acceptor,
}

impl Secret {
    /// Minimum length, in bytes.
    pub const BYTES_MIN: usize = 16;

    /// Takes a secret from the content of a file, without surrounding whitespace.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text.len() {
            0..Self::BYTES_MIN => {
                Err(format!("it has {} bytes; a secret has at least {}", text.len(), Self::BYTES_MIN))
            }
            _ => Ok(Self(text.as_bytes().to_vec())),
        }
    }

    fn mac(&self, side: Side, dialer: &Introduction, acceptor: &Introduction) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key may have any length");
        mac.update(match side {
            Side::Dialer => b"dialer",
            Side::Acceptor => b"acceptor",
        });
        mac.update(&postcard::to_stdvec(&(dialer, acceptor)).expect("plain data always serializes"));
        mac
    }

    /// Proves that this side knows the secret.
    pub(super) fn prove(&self, side: Side, dialer: &Introduction, acceptor: &Introduction) -> Proof {
        Proof(self.mac(side, dialer, acceptor).finalize().into_bytes().into())
    }

    /// Verifies the other side's proof, in constant time.
    pub(super) fn check(
        &self,
        proof: Proof,
        side: Side,
        dialer: &Introduction,
        acceptor: &Introduction,
    ) -> Result<(), String> {
        let checked = self.mac(side, dialer, acceptor).verify_slice(&proof.0);
        checked.map_err(|_| "it has another secret; give all members the same --secret-file".into())
    }
}

/// Never shows the secret.
impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// Checks that the other side is a compatible member of this cluster.
pub(super) fn check(own: &Introduction, members: &[Name], other: &Introduction) -> Result<(), String> {
    let own_cluster = own.cluster;
    let (own, own_agreement) = (&own.from, &own.agreement);
    if other.version != VERSION {
        return Err(format!("it speaks version {} and this node version {VERSION}", other.version));
    }
    if other.from == *own {
        return Err(format!("it is called '{own}' as well; give each node its own name"));
    }
    if other.to != *own {
        return Err(format!("it wants '{}', and this is '{own}'; check the --peer flags", other.to));
    }
    if !members.contains(&other.from) {
        return Err(format!("'{}' is not one of this node's peers; check the --peer flags", other.from));
    }
    match (own_cluster, other.cluster) {
        (Some(own), Some(theirs)) if own != theirs => {
            Err(format!("its data belongs to cluster {theirs}, and this node's to cluster {own}"))
        }
        _ => agreement::check((own, own_agreement), (&other.from, &other.agreement)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::replication::durability::Mode;
    use crate::replication::entry::LogId;
    use crate::replication::life::Starts;
    use crate::replication::member::Incarnation;

    fn introduction(from: &str, to: &str, nonce: u8) -> Introduction {
        let incarnation = Incarnation(Uuid::from_u128(1));
        let life = Life { incarnation, starts: Starts::default(), term: 0, last: LogId::default() };
        let agreement = Agreement {
            mode: Mode::Quorum,
            names_kept: Duration::from_secs(60),
            log_entries: 50_000,
            election_timeout: Duration::from_millis(600),
        };
        Introduction {
            version: VERSION,
            from: from.into(),
            to: to.into(),
            life: Arc::new(life),
            agreement,
            cluster: Some(ClusterId(Uuid::from_u128(2))),
            advertised: "127.0.0.1:7001".into(),
            nonce: [nonce; 32],
        }
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    #[test]
    fn who_knows_the_secret_is_believed_and_nobody_else() {
        let (dialer, acceptor) = (introduction("db-1", "db-2", 1), introduction("db-2", "db-1", 2));
        let proof = secret("sixteen bytes or more").prove(Side::Dialer, &dialer, &acceptor);
        let check = |text, side, dialer| secret(text).check(proof, side, dialer, &acceptor);
        assert!(check("sixteen bytes or more\n", Side::Dialer, &dialer).is_ok());
        assert!(check("another one, as long", Side::Dialer, &dialer).is_err());
        assert!(check("sixteen bytes or more", Side::Acceptor, &dialer).is_err(), "a proof is not sent back");
        let later = introduction("db-1", "db-2", 3);
        assert!(check("sixteen bytes or more", Side::Dialer, &later).is_err(), "nor played again");
    }

    #[test]
    fn a_short_secret_is_none() {
        assert!(Secret::new("  too short  ").is_err());
    }

    #[test]
    fn strangers_are_told_why() {
        let (own, members) = (introduction("db-1", "db-2", 1), ["db-1", "db-2"].map(Name::from));
        let cluster = Some(ClusterId(Uuid::from_u128(2)));
        let in_cluster = |cluster| Introduction { cluster, ..own.clone() };
        let refusal = |cluster, other| check(&in_cluster(cluster), &members, &other).unwrap_err();
        assert!(check(&in_cluster(cluster), &members, &introduction("db-2", "db-1", 1)).is_ok());
        assert!(check(&in_cluster(None), &members, &introduction("db-2", "db-1", 1)).is_ok());
        assert!(refusal(cluster, introduction("db-1", "db-1", 1)).contains("as well"));
        assert!(refusal(cluster, introduction("db-2", "db-3", 1)).contains("wants 'db-3'"));
        assert!(refusal(cluster, introduction("db-9", "db-1", 1)).contains("not one of this node's peers"));
        let other_cluster = Some(ClusterId(Uuid::from_u128(9)));
        assert!(refusal(other_cluster, introduction("db-2", "db-1", 1)).contains("belongs to cluster"));
        let other = introduction("db-2", "db-1", 1);
        let in_sync = Agreement { mode: Mode::Sync, ..other.agreement };
        let in_sync = Introduction { agreement: in_sync, ..other };
        assert!(refusal(cluster, in_sync).contains("'db-2' has --replication sync"));
        let newer = Introduction { version: VERSION + 1, ..introduction("db-2", "db-1", 1) };
        assert!(refusal(cluster, newer).contains(&format!("version {}", VERSION + 1)));
    }
}
