//! What a node has applied is never rolled back while the node runs, and no other node applies a
//! different entry at that index (the Raft paper's State Machine Safety). `async` may take back
//! entries that it showed and that never reached a majority's disks.

use std::collections::BTreeMap;

use dbnode::replication::durability::Mode;
use dbnode::replication::entry::LogId;

use super::{Violation, violated};

/// The applied entries.
#[derive(Debug, Default)]
pub struct AppliedStays {
    /// By index, the term of the entry that some node applied.
    anywhere: BTreeMap<u64, u64>,
    /// By node, its life and the last applied entry.
    nodes: BTreeMap<usize, (u64, LogId)>,
}

impl AppliedStays {
    /// The last entry that any node has applied.
    pub fn last(&self) -> LogId {
        self.anywhere
            .last_key_value()
            .map_or(LogId::default(), |(index, term)| LogId { term: *term, index: *index })
    }

    /// Checks a node that has applied its log up to this position.
    pub fn see(&mut self, mode: Mode, node: usize, life: u64, applied: LogId) -> Result<(), Violation> {
        // Imported records belong to term 0, and give way to what the cluster has agreed on.
        if mode == Mode::Async || applied.term == 0 {
            return Ok(());
        }
        let before = self.nodes.insert(node, (life, applied));
        if let Some((earlier, place)) = before
            && earlier == life
            && applied < place
        {
            return violated(
                "applied stays",
                format!("db-{} went back from {place:?} to {applied:?}", node + 1),
            );
        }
        let term = *self.anywhere.entry(applied.index).or_insert(applied.term);
        if term != applied.term {
            return violated(
                "applied stays",
                format!(
                    "db-{} applied {applied:?}; somebody else applied one of term {term} there",
                    node + 1
                ),
            );
        }
        Ok(())
    }
}
