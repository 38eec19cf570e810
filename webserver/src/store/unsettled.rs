//! What was written while the shared cache could not be reached, and is still to be removed from it.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// More keys are not remembered; the copies of those that are forgotten live until their time is over.
const KEYS_MAX: usize = 100_000;

/// Keys whose copies are out of date. Their readers are to go past the cache.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: BTreeSet<String>,
    settling: bool,
}

impl Unsettled {
    /// True when the cache may have an old copy.
    pub(super) fn contains(&self, key: &str) -> bool {
        self.state.lock().keys.contains(key)
    }

    /// Remembers a key. True when nobody is settling yet: whoever hears that has to.
    pub(super) fn add(&self, key: &str) -> bool {
        let mut state = self.state.lock();
        if state.keys.len() < KEYS_MAX {
            state.keys.insert(key.to_owned());
        } else {
            tracing::warn!(
                key,
                "too many writes while the cache is gone; a copy may be out of date for a while"
            );
        }
        !std::mem::replace(&mut state.settling, true)
    }

    /// A key that is still to be settled; none when all are, and then nobody is settling any more.
    pub(super) fn next(&self) -> Option<String> {
        let mut state = self.state.lock();
        let next = state.keys.first().cloned();
        state.settling = next.is_some();
        next
    }

    /// A key is settled.
    pub(super) fn remove(&self, key: &str) {
        self.state.lock().keys.remove(key);
    }
}
