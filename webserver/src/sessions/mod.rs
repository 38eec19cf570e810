//! Sessions: which user is logged in, and the cart.
//!
//! ```text
//! login  ──> a new id, always; the session that the cookie named before ends
//! me     ──> known? then its idle time restarts, up to its absolute end
//! cart   ──> one atomic step in the store: two servers adding at once lose nothing, and a session
//!            that has ended stays ended
//! logout ──> ends it in the store, not only in the browser
//! ```
//!
//! This module knows nothing of products, and only cookies of HTTP.

pub mod cart;
pub mod cookie;
/// Session ids and their keys.
mod id;
/// Sessions in this process's memory.
mod memory;
/// Sessions in a Redis that all servers share.
mod shared;

use std::time::Duration;

pub use id::{SessionId, SessionKey};

use crate::redis::{Failure, Purpose, Redis};
use cart::{Cart, CartFull, Quantity};
use memory::MemorySessions;
use shared::SharedSessions;

/// The lifetime of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// The longest time without a request.
    pub idle: Duration,
    /// The longest total time, even with requests.
    pub absolute: Duration,
}

/// All sessions, in either kind of store.
#[derive(Debug)]
pub enum Sessions {
    /// In this process's memory.
    Memory(MemorySessions),
    /// In Redis.
    Shared(Box<SharedSessions>),
}

/// One visitor's session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The user who logged in.
    pub user: String,
    /// The user's cart.
    pub cart: Cart,
}

/// Why an operation on a session failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    /// The store cannot be reached. Retrying is safe.
    #[error("the store of the sessions cannot be reached now; try again later")]
    Unavailable(#[source] Failure),
    /// The store was asked to change a cart and did not answer.
    #[error(
        "the outcome is unknown: this may or may not be in the cart now; check the cart before trying again"
    )]
    OutcomeUnknown,
    /// The session does not exist, or no longer exists.
    #[error("who are you? this request belongs to no session that is known here; log in first")]
    Unknown,
    /// The product does not fit into the cart.
    #[error(transparent)]
    CartFull(#[from] CartFull),
}

impl Sessions {
    /// Stores sessions in this process's memory.
    pub fn in_memory(lifetime: Lifetime) -> Self {
        Self::Memory(MemorySessions::new(lifetime))
    }

    /// Stores sessions in Redis.
    pub fn in_redis(redis: Redis, lifetime: Lifetime) -> Self {
        Self::Shared(Box::new(SharedSessions::new(redis, lifetime)))
    }

    /// The keys and scripts that sessions in Redis need.
    pub fn purpose() -> Purpose {
        Purpose { keys: shared::KEYS, scripts: shared::scripts().into() }
    }

    /// Starts a session for a user under a new id. The visitor's previous session ends with it
    /// (against session fixation).
    pub async fn begin(&self, user: &str, before: Option<&SessionId>) -> Result<SessionId, SessionError> {
        let id = SessionId::random();
        let (key, before) = (id.key(), before.map(SessionId::key));
        match self {
            Self::Memory(sessions) => sessions.begin(key, user, before),
            Self::Shared(sessions) => sessions.begin(key, user, before).await?,
        }
        Ok(id)
    }

    /// Returns the session with this id, and restarts its idle time.
    pub async fn find(&self, id: &SessionId) -> Result<Session, SessionError> {
        match self {
            Self::Memory(sessions) => sessions.find(&id.key()),
            Self::Shared(sessions) => sessions.find(&id.key()).await,
        }
    }

    /// Adds a product to the session's cart, and returns the cart.
    pub async fn add(&self, id: &SessionId, product: &str, quantity: Quantity) -> Result<Cart, SessionError> {
        match self {
            Self::Memory(sessions) => sessions.add(&id.key(), product, quantity),
            Self::Shared(sessions) => sessions.add(&id.key(), product, quantity).await,
        }
    }

    /// Ends a session, if there is one.
    pub async fn end(&self, id: &SessionId) -> Result<(), SessionError> {
        match self {
            Self::Memory(sessions) => {
                sessions.end(&id.key());
                Ok(())
            }
            Self::Shared(sessions) => sessions.end(&id.key()).await,
        }
    }
}
