//! The operations of one run.

use std::collections::BTreeMap;

use crate::operation::{Action, Operation, Read};

/// The operations of one run, in any order, with the initial values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// The value of each record before the first operation; a record that is missing here did not exist.
    pub initial: BTreeMap<String, String>,
    /// The operations, with their outcomes.
    pub operations: Vec<Operation>,
}

impl History {
    /// A history that starts without records.
    pub fn new(operations: Vec<Operation>) -> Self {
        Self { initial: BTreeMap::new(), operations }
    }

    /// The history without local reads, which may be stale. What is left has to be linearizable.
    pub fn without_local_reads(mut self) -> Self {
        self.operations.retain(|operation| operation.action != Action::Get { read: Read::Local });
        self
    }

    /// The operations on each record, by the time they were invoked.
    pub fn by_key(&self) -> BTreeMap<&str, Vec<&Operation>> {
        let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
        for operation in &self.operations {
            keys.entry(&operation.key).or_default().push(operation);
        }
        for operations in keys.values_mut() {
            operations.sort_by_key(|operation| operation.invoked_at);
        }
        keys
    }

    /// A record's value before the first operation.
    pub fn initial_value(&self, key: &str) -> Option<&str> {
        self.initial.get(key).map(String::as_str)
    }
}
