//! Sessions in a Redis that all servers share: any server knows them, and none are lost when a
//! server dies.
//!
//! One hash per session, under `session:` and the SHA-256 of its id, after the prefix of all keys:
//!
//! | field | |
//! |---|---|
//! | `user` | the user who logged in |
//! | `created` | the time of the login, in milliseconds of Redis' own clock |
//! | `cart:` and a product | the number of pieces |
//!
//! Every change is one script, so it is atomic and applies only to a session that exists. The key's
//! time to live is the idle time, limited by the absolute end.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ::redis::{Script, cmd};

use super::cart::{Cart, CartFull, ITEMS_MAX, PIECES_MAX, Quantity};
use super::{Lifetime, Session, SessionError, SessionKey};
use crate::redis::{Failure, Redis};

/// The prefix of a session's key.
pub(super) const KEYS: &str = "session:";

/// The prefix of a product's field in the cart.
const CART: &str = "cart:";

/// Sessions in Redis.
#[derive(Debug)]
pub struct SharedSessions {
    redis: Redis,
    lifetime: Lifetime,
    begin: Script,
    find: Script,
    add: Script,
}

/// The scripts that start a session, find it, and add to its cart.
pub(super) fn scripts() -> [Script; 3] {
    let touching = |script: &str| Script::new(&[include_str!("scripts/touch.lua"), script].concat());
    [
        Script::new(include_str!("scripts/begin.lua")),
        touching(include_str!("scripts/find.lua")),
        touching(include_str!("scripts/add.lua")),
    ]
}

impl SharedSessions {
    pub(super) fn new(redis: Redis, lifetime: Lifetime) -> Self {
        let [begin, find, add] = scripts();
        Self { redis, lifetime, begin, find, add }
    }

    pub(super) async fn begin(
        &self,
        key: SessionKey,
        user: &str,
        before: Option<SessionKey>,
    ) -> Result<(), SessionError> {
        let mut script = self.begin.prepare_invoke();
        script.key(self.redis_key(&key));
        if let Some(before) = before {
            script.key(self.redis_key(&before));
        }
        let lasting = self.lifetime.idle.min(self.lifetime.absolute);
        script.arg(user).arg(millis(lasting));
        self.redis.run(&script).await.map_err(SessionError::Unavailable)
    }

    pub(super) async fn find(&self, key: &SessionKey) -> Result<Session, SessionError> {
        let mut script = self.find.key(self.redis_key(key));
        script.arg(millis(self.lifetime.idle)).arg(millis(self.lifetime.absolute));
        let fields: HashMap<String, String> =
            self.redis.run(&script).await.map_err(SessionError::Unavailable)?;
        let user = fields.get("user").cloned().ok_or(SessionError::Unknown)?;
        Ok(Session { user, cart: cart(&fields) })
    }

    pub(super) async fn add(
        &self,
        key: &SessionKey,
        product: &str,
        quantity: Quantity,
    ) -> Result<Cart, SessionError> {
        let mut script = self.add.key(self.redis_key(key));
        script.arg(millis(self.lifetime.idle)).arg(millis(self.lifetime.absolute));
        script.arg(format!("{CART}{product}")).arg(quantity.pieces()).arg(ITEMS_MAX).arg(PIECES_MAX);
        let answer: Result<(String, HashMap<String, String>), Failure> = self.redis.run(&script).await;
        let (outcome, fields) = answer.map_err(|failure| match failure {
            Failure::Unanswered => SessionError::OutcomeUnknown,
            Failure::Down | Failure::Doubtful | Failure::Refused(_) => SessionError::Unavailable(failure),
        })?;
        match outcome.as_str() {
            "added" => Ok(cart(&fields)),
            "too many items" => Err(CartFull::Items.into()),
            "too many pieces" => Err(CartFull::Pieces.into()),
            _ => Err(SessionError::Unknown),
        }
    }

    pub(super) async fn end(&self, key: &SessionKey) -> Result<(), SessionError> {
        self.redis.ask(cmd("DEL").arg(self.redis_key(key))).await.map_err(SessionError::Unavailable)
    }

    fn redis_key(&self, key: &SessionKey) -> String {
        self.redis.key(KEYS, key.as_str())
    }
}

/// Reads the cart's fields. A value that is not a number was not written by a shop, and is ignored.
fn cart(fields: &HashMap<String, String>) -> Cart {
    let items = fields
        .iter()
        .filter_map(|(field, pieces)| Some((field.strip_prefix(CART)?.to_owned(), pieces.parse().ok()?)));
    Cart::of(items.collect::<BTreeMap<_, _>>())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
