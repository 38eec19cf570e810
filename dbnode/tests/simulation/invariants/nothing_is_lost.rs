//! In `sync` and `quorum`, no acknowledged write is lost, and no refused write takes effect.

use dbnode::replication::state::State;
use history::{History, ghost, lost};

use super::{Violation, violated};

/// Checks the final state.
pub fn check(history: &History, end: &State) -> Result<(), Violation> {
    let keys = history.by_key().into_keys();
    let found = keys.map(|key| (key.to_owned(), value(end, key))).collect();
    let lost = lost::judge(history, &found);
    if let Some(first) = lost.first() {
        return violated("no acknowledged write is lost", format!("{first:#?}"));
    }
    let ghosts = ghost::judge(history);
    match ghosts.first() {
        Some(first) => violated("no refused write is there", format!("{first:#?}")),
        None => Ok(()),
    }
}

/// The value of a record.
pub fn value(state: &State, key: &str) -> Option<String> {
    state.get(key).map(|record| String::from_utf8_lossy(&record.value).into_owned())
}
