//! What a node has applied it never takes back while it lives, and no other node applies something
//! else in its place (the Raft paper's State Machine Safety). `async` may take back what it showed
//! and never had on a majority's disks.

use std::collections::BTreeMap;

use dbnode::replication::durability::Mode;
use dbnode::replication::entry::LogId;

use super::{Violation, violated};

/// What was applied.
#[derive(Debug, Default)]
pub struct AppliedStays {
    /// By index, the term of the entry that somebody applied.
    anywhere: BTreeMap<u64, u64>,
    /// By node: in which life, and how far.
    nodes: BTreeMap<usize, (u64, LogId)>,
}

impl AppliedStays {
    /// The last entry that somebody has applied.
    pub fn last(&self) -> LogId {
        self.anywhere
            .last_key_value()
            .map_or(LogId::default(), |(index, term)| LogId { term: *term, index: *index })
    }

    /// A node has applied its log up to this place now.
    pub fn see(&mut self, mode: Mode, node: usize, life: u64, applied: LogId) -> Result<(), Violation> {
        // What was imported belongs to term 0, and gives way to what the cluster agreed on.
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
