//! Invalidations to repeat: keys that were written while the shared cache could not be reached.
//!
//! Each such write has its own generation: removing the copy settles the earlier generations of the key, but not
//! one that was added in the meantime.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::Mutex;

/// The most keys that are remembered; copies of further keys live until they expire.
const KEYS_MAX: usize = 100_000;

/// Keys whose copies are out of date. Readers of these keys bypass the cache.
#[derive(Debug, Default)]
pub(super) struct PendingInvalidations {
    state: Mutex<State>,
}

/// Identifies the write that made a key pending. A later write has a greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Generation(u64);

#[derive(Debug, Default)]
struct State {
    /// Each key with its latest generation.
    keys: BTreeMap<String, Generation>,
    last: Generation,
    settling: bool,
}

impl PendingInvalidations {
    /// True if the cache may have an old copy.
    pub(super) fn contains(&self, key: &str) -> bool {
        self.state.lock().keys.contains_key(key)
    }

    /// Remembers a key. Returns true if no task is settling yet, so that the caller must start one.
    pub(super) fn add(&self, key: &str) -> bool {
        let mut state = self.state.lock();
        let generation = Generation(state.last.0 + 1);
        state.last = generation;
        if state.keys.len() < KEYS_MAX || state.keys.contains_key(key) {
            state.keys.insert(key.to_owned(), generation);
        } else {
            tracing::warn!(
                key,
                "too many writes while the cache is gone; a copy may be out of date for a while"
            );
        }
        !std::mem::replace(&mut state.settling, true)
    }

    /// Returns the next key to settle, and its generation: the one after `last`, cyclically. Returns `None` if all
    /// are settled; then the settling task ends.
    pub(super) fn next(&self, last: Option<&str>) -> Option<(String, Generation)> {
        let mut state = self.state.lock();
        let after = last.and_then(|last| {
            let after = (Bound::Excluded(last), Bound::Unbounded);
            state.keys.range::<str, _>(after).next()
        });
        let next = after.or_else(|| state.keys.first_key_value());
        let next = next.map(|(key, generation)| (key.clone(), *generation));
        state.settling = next.is_some();
        next
    }

    /// Settles a generation. If the key has a newer one by now, that one stays.
    pub(super) fn remove(&self, key: &str, generation: Generation) {
        let mut state = self.state.lock();
        if state.keys.get(key) == Some(&generation) {
            state.keys.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_while_the_one_before_is_settled_is_not_forgotten() {
        let pending = PendingInvalidations::default();
        assert!(pending.add("key"), "nobody is settling yet");
        let (_, first) = pending.next(None).unwrap();
        assert!(!pending.add("key"), "somebody is settling already");
        pending.remove("key", first);
        assert!(pending.contains("key"));

        let (key, second) = pending.next(None).unwrap();
        pending.remove(&key, second);
        assert!(!pending.contains("key"));
    }

    #[test]
    fn when_all_is_settled_the_next_write_has_to_settle_again() {
        let pending = PendingInvalidations::default();
        pending.add("key");
        let (key, generation) = pending.next(None).unwrap();
        pending.remove(&key, generation);
        assert_eq!(pending.next(None), None);
        assert!(pending.add("key"));
    }

    #[test]
    fn a_key_that_cannot_be_settled_does_not_hold_up_the_others() {
        let pending = PendingInvalidations::default();
        for key in ["a", "b", "c"] {
            pending.add(key);
        }
        let mut last: Option<String> = None;
        let turns = (0..4).map(|_| {
            let (key, _) = pending.next(last.as_deref()).unwrap();
            last = Some(key.clone());
            key
        });
        assert_eq!(turns.collect::<Vec<_>>(), ["a", "b", "c", "a"]);
    }

    #[test]
    fn a_known_key_is_doubted_anew_though_there_is_no_room_for_another() {
        let pending = PendingInvalidations::default();
        for number in 0..KEYS_MAX {
            pending.add(&format!("key-{number:06}"));
        }
        let (key, generation) = pending.next(None).unwrap();
        pending.add(&key);
        pending.remove(&key, generation);
        assert!(pending.contains(&key));
        pending.add("one too many");
        assert!(!pending.contains("one too many"));
    }
}
