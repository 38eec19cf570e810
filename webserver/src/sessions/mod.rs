//! Who is logged in, and what is in their carts.
//!
//! ```text
//! login  ──> a new id, always; the session that the cookie named before ends
//! me     ──> known? then it lives on for another idle time, up to its absolute end
//! cart   ──> one step in the store: two servers adding at once lose nothing, and a session that
//!            has ended stays ended
//! logout ──> ends it in the store, not only in the browser
//! ```
//!
//! Knows nothing of products, nor of HTTP but cookies.

pub mod cart;
pub mod cookie;
/// What a session is called.
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

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Without a request.
    pub idle: Duration,
    /// At most, however busy.
    pub absolute: Duration,
}

/// All sessions, wherever they are kept.
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
    /// Who logged in.
    pub user: String,
    /// What they want to buy.
    pub cart: Cart,
}

/// Why nothing can be said about a session.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    /// The store cannot be asked now. Trying again can do no harm.
    #[error("the store of the sessions cannot be reached now; try again later")]
    Unavailable(#[source] Failure),
    /// The store was asked to change a cart, and did not answer.
    #[error("the outcome is unknown: this may or may not be in the cart now; look before trying again")]
    OutcomeUnknown,
    /// The session does not exist, or not any more.
    #[error("who are you? this request belongs to no session that is known here; log in first")]
    Unknown,
    /// It does not fit into the cart.
    #[error(transparent)]
    CartFull(#[from] CartFull),
}

impl Sessions {
    /// Sessions in this process's memory.
    pub fn in_memory(lifetime: Lifetime) -> Self {
        Self::Memory(MemorySessions::new(lifetime))
    }

    /// Sessions in Redis.
    pub fn in_redis(redis: Redis, lifetime: Lifetime) -> Self {
        Self::Shared(Box::new(SharedSessions::new(redis, lifetime)))
    }

    /// What Redis is used for when sessions are in it.
    pub fn purpose() -> Purpose {
        Purpose { keys: shared::KEYS, scripts: shared::scripts().into() }
    }

    /// Begins a session for a user, under an id that nobody has seen before. The session that the
    /// visitor had until now ends with it.
    pub async fn begin(&self, user: &str, before: Option<&SessionId>) -> Result<SessionId, SessionError> {
        let id = SessionId::random();
        let (key, before) = (id.key(), before.map(SessionId::key));
        match self {
            Self::Memory(sessions) => sessions.begin(key, user, before),
            Self::Shared(sessions) => sessions.begin(key, user, before).await?,
        }
        Ok(id)
    }

    /// The session of this id, which is used by that.
    pub async fn find(&self, id: &SessionId) -> Result<Session, SessionError> {
        match self {
            Self::Memory(sessions) => sessions.find(&id.key()),
            Self::Shared(sessions) => sessions.find(&id.key()).await,
        }
    }

    /// Puts something into the session's cart, and returns the cart.
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
