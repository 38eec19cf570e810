//! Copies in a Redis that all servers share, and the fills in progress: one hash per document, under `copy:` and
//! its key after the prefix of all keys, and four scripts, each of which is atomic.
//!
//! | field | |
//! |---|---|
//! | `fresh`, `useful` | until when the copy is fresh, and usable at all, in milliseconds of Redis' own clock |
//! | `found`, `body`, `version`, `node` | the copy |
//! | `rests`, `failure` | after a failed fill: until when the copy or the failure is served at once, and why |
//! | `since` | when the fill that stored the copy began |
//! | `filler`, `began` | the token of the fill in progress, and when it began |
//! | `latest` | after a write: until when fills must read the latest version |
//!
//! A fill may store its answer only while its token is in the hash. A write deletes the whole hash, the token
//! included, so a late answer from before the write never overwrites it.

use std::time::Duration;

use ::redis::Script;
use bytes::Bytes;
use dbclient::Version;

use super::Document;
use super::database::OWN_WRITES_FOR;
use super::freshness::{REST, Rules};
use super::reason::Reason;
use crate::redis::{Failure, Redis, Refusal};

/// The prefix of a document's key.
pub(super) const KEYS: &str = "copy:";

/// Copies in Redis.
#[derive(Debug)]
pub(super) struct Copies {
    redis: Redis,
    rules: Rules,
    /// How long a fill may take before it is considered dead.
    fill_limit: Duration,
    look: Script,
    complete_fill: Script,
    give_up: Script,
    invalidate: Script,
}

/// Identifies one fill among all servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Token(u128);

/// What a lookup found.
#[derive(Debug)]
pub(super) enum Look {
    /// A fresh copy.
    Fresh(Option<Document>),
    /// A stale copy to serve at once: a refill has just failed.
    Resting(Option<Document>),
    /// No copy, and no fill to wait for: one has just failed.
    Failed(Reason),
    /// The caller must query the database, and is the only one that may. It also gets the stale copy, if there is
    /// one.
    Fill {
        token: Token,
        /// True if the data of a replica may be too old.
        latest: bool,
        stale: Option<Option<Document>>,
    },
    /// Another reader is querying the database.
    Wait { token: Token, age: Duration, stale: Option<Option<Document>> },
}

/// A copy as stored in Redis: found, body, version, node.
type Raw = Vec<Vec<u8>>;

/// The scripts that look up a copy, complete a fill, give one up, and invalidate a copy.
pub(super) fn scripts() -> [Script; 4] {
    [
        Script::new(include_str!("scripts/look.lua")),
        Script::new(include_str!("scripts/complete_fill.lua")),
        Script::new(include_str!("scripts/give_up.lua")),
        Script::new(include_str!("scripts/invalidate.lua")),
    ]
}

impl Copies {
    pub(super) fn new(redis: Redis, rules: Rules, fill_limit: Duration) -> Self {
        let [look, complete_fill, give_up, invalidate] = scripts();
        Self { redis, rules, fill_limit, look, complete_fill, give_up, invalidate }
    }

    /// Looks up a document for a caller that is ready to fill it. Copies are not trusted while they cannot be
    /// removed, nor are older ones afterwards.
    pub(super) async fn look(&self, key: &str) -> Result<Look, Failure> {
        let mut look = self.look.key(self.redis.key(KEYS, key));
        look.arg(Token::random().to_text()).arg(millis(self.fill_limit));
        look.arg(self.redis.copies_believed_from().await?).arg(millis(OWN_WRITES_FOR));
        let (verdict, word, age, latest, copy): (String, String, u64, bool, Raw) =
            self.redis.run(&look).await?;
        let copy = found(copy)?;
        let token = Token::parse(&word);
        match (verdict.as_str(), token, copy) {
            ("fresh", _, Some(copy)) => Ok(Look::Fresh(copy)),
            ("resting", _, Some(copy)) => Ok(Look::Resting(copy)),
            ("failed", _, None) => Ok(Look::Failed(Reason::parse(&word))),
            ("fill", Some(token), stale) => Ok(Look::Fill { token, latest, stale }),
            ("wait", Some(token), stale) => Ok(Look::Wait { token, age: Duration::from_millis(age), stale }),
            _ => Err(unreadable()),
        }
    }

    /// Ends a fill that succeeded. Its copy is stored, unless there was a write in the meantime.
    pub(super) async fn complete_fill(
        &self,
        key: &str,
        token: Token,
        found: &Option<Document>,
        dice: f64,
    ) -> Result<(), Failure> {
        let lasting = self.rules.lasting(found.is_some(), dice);
        let mut complete_fill = self.complete_fill.key(self.redis.key(KEYS, key));
        complete_fill.arg(token.to_text()).arg(millis(lasting.fresh)).arg(millis(lasting.stale));
        match found {
            Some(Document { body, version, node }) => {
                complete_fill.arg(1).arg(&**body).arg(version.to_string()).arg(&**node);
            }
            None => _ = complete_fill.arg(0).arg("").arg("").arg(""),
        }
        self.redis.run::<u64>(&complete_fill).await.map(drop)
    }

    /// Ends a fill that failed.
    pub(super) async fn give_up(&self, key: &str, token: Token, reason: Reason) -> Result<(), Failure> {
        let mut give_up = self.give_up.key(self.redis.key(KEYS, key));
        give_up.arg(token.to_text()).arg(millis(REST)).arg(reason.word());
        self.redis.run::<u64>(&give_up).await.map(drop)
    }

    /// Removes a copy, and detaches the fill in progress.
    pub(super) async fn invalidate(&self, key: &str) -> Result<(), Failure> {
        let mut invalidate = self.invalidate.key(self.redis.key(KEYS, key));
        invalidate.arg(millis(OWN_WRITES_FOR));
        self.redis.run::<u64>(&invalidate).await.map(drop)
    }

    /// Returns once Redis can be called.
    pub(super) async fn available(&self) {
        self.redis.available().await;
    }

    /// Returns once no server trusts any copy that Redis refused to remove.
    pub(super) async fn believed_by_nobody(&self) {
        self.redis.refusal_is_known_to_all().await;
    }
}

impl Token {
    fn random() -> Self {
        Self(rand::random())
    }

    fn to_text(self) -> String {
        format!("{:032x}", self.0)
    }

    fn parse(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

fn found(raw: Raw) -> Result<Option<Option<Document>>, Failure> {
    if raw.is_empty() {
        return Ok(None);
    }
    let [found, body, version, node] = <[Vec<u8>; 4]>::try_from(raw).map_err(|_| unreadable())?;
    if found == b"0" {
        return Ok(Some(None));
    }
    let text = |bytes| String::from_utf8(bytes).map_err(|_| unreadable());
    let version = Version::parse(&text(version)?).ok_or_else(unreadable)?;
    Ok(Some(Some(Document { body: Bytes::from(body), version, node: text(node)?.into() })))
}

/// The value under one of the shop's keys was written by another program; it is ignored.
fn unreadable() -> Failure {
    Failure::Refused(Refusal::foreign())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = Token::random();
        assert_eq!(Token::parse(&token.to_text()), Some(token));
        assert_eq!(Token::parse(""), None);
    }

    #[test]
    fn a_copy_is_nothing_or_that_there_is_nothing_or_a_document() {
        let raw = |parts: [&str; 4]| parts.map(|part| part.as_bytes().to_vec()).to_vec();
        assert_eq!(found(Vec::new()).unwrap(), None);
        assert_eq!(found(raw(["0", "", "", ""])).unwrap(), Some(None));
        let document = found(raw(["1", "{}", "2.7", "db-1"])).unwrap().unwrap().unwrap();
        assert_eq!(
            (&*document.body, document.version, &*document.node),
            (&b"{}"[..], Version::of(2, 7), "db-1")
        );
        for odd in [raw(["1", "{}", "7", "db-1"]), vec![b"1".to_vec()]] {
            assert!(found(odd).is_err());
        }
    }
}
