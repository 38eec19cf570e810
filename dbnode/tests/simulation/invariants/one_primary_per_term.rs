//! There is at most one primary in each term (the Raft paper's Election Safety).

use std::collections::BTreeMap;

use dbnode::replication::role::Role;

use super::{Violation, violated};

/// The primary of each term.
#[derive(Debug, Default)]
pub struct OnePrimaryPerTerm {
    primaries: BTreeMap<u64, usize>,
}

impl OnePrimaryPerTerm {
    /// Checks a node with this role.
    pub fn see(&mut self, node: usize, role: Role, term: u64) -> Result<(), Violation> {
        if role != Role::Primary {
            return Ok(());
        }
        let first = *self.primaries.entry(term).or_insert(node);
        if first == node {
            return Ok(());
        }
        violated("one primary per term", format!("db-{} and db-{} in term {term}", first + 1, node + 1))
    }
}
