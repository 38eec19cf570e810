//! Two logs with the same entry at an index are identical up to it (the Raft paper's Log Matching).

use std::collections::BTreeMap;

use dbnode::replication::disk::Recovered;
use dbnode::replication::entry::{Entry, LogId};

use super::{Violation, violated};

/// Every entry that was ever on a disk, and the term of the one before it.
#[derive(Debug, Default)]
pub struct LogMatching {
    entries: BTreeMap<LogId, (u64, Entry)>,
}

impl LogMatching {
    /// Checks the entries that were added to a node's log.
    pub fn see(&mut self, node: usize, stored: &Recovered, added: usize) -> Result<(), Violation> {
        let first = stored.entries.len() - added.min(stored.entries.len());
        for place in first..stored.entries.len() {
            let entry = &stored.entries[place];
            let before = match place.checked_sub(1) {
                Some(before) => stored.entries[before].log_id(),
                None => stored.snapshot.log_id(),
            };
            if before.index + 1 != entry.index || before.term > entry.term {
                return violated(
                    "log matching",
                    format!("db-{} has {entry:?} after {before:?} on its disk", node + 1),
                );
            }
            let (term_before, known) =
                self.entries.entry(entry.log_id()).or_insert_with(|| (before.term, entry.clone()));
            if *term_before != before.term || known != entry {
                return violated(
                    "log matching",
                    format!(
                        "db-{} has {entry:?} after term {}; elsewhere it is {known:?} after term {term_before}",
                        node + 1,
                        before.term
                    ),
                );
            }
        }
        Ok(())
    }
}
