//! Sessions in this process's memory: no other server knows them, and they are lost with it.

use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use parking_lot::Mutex;

use super::cart::{Cart, Quantity};
use super::{Lifetime, Session, SessionError, SessionKey};

/// The most sessions; the least recently used ones are evicted.
const SESSIONS_MAX: u64 = 100_000;

/// Sessions in this process's memory.
#[derive(Debug)]
pub struct MemorySessions {
    sessions: Cache<SessionKey, Arc<Mutex<Session>>>,
}

impl MemorySessions {
    pub(super) fn new(lifetime: Lifetime) -> Self {
        let sessions = Cache::builder()
            .max_capacity(SESSIONS_MAX)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(lifetime.idle)
            .time_to_live(lifetime.absolute)
            .build();
        Self { sessions }
    }

    pub(super) fn begin(&self, key: SessionKey, user: &str, before: Option<SessionKey>) {
        let session = Session { user: user.to_owned(), cart: Cart::default() };
        self.sessions.insert(key, Arc::new(Mutex::new(session)));
        if let Some(before) = before {
            self.end(&before);
        }
    }

    pub(super) fn find(&self, key: &SessionKey) -> Result<Session, SessionError> {
        let session = self.sessions.get(key).ok_or(SessionError::Unknown)?;
        Ok(session.lock().clone())
    }

    /// A session that ends in the meantime is not resurrected by the change.
    pub(super) fn add(
        &self,
        key: &SessionKey,
        product: &str,
        quantity: Quantity,
    ) -> Result<Cart, SessionError> {
        let session = self.sessions.get(key).ok_or(SessionError::Unknown)?;
        let mut session = session.lock();
        session.cart.add(product, quantity)?;
        Ok(session.cart.clone())
    }

    pub(super) fn end(&self, key: &SessionKey) {
        self.sessions.invalidate(key);
    }
}
