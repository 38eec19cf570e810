//! The operations of one run.

use std::collections::BTreeMap;

use crate::operation::{Action, Operation, Read};

/// The operations of one run, in any order, and what was there before the first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// The value of each record before the first operation; what is not here was not there.
    pub initial: BTreeMap<String, String>,
    /// What was asked, and what came of it.
    pub operations: Vec<Operation>,
}

impl History {
    /// A history that begins with nothing.
    pub fn new(operations: Vec<Operation>) -> Self {
        Self { initial: BTreeMap::new(), operations }
    }

    /// The same without the reads that were allowed to be old. What is left is what
    /// linearizability is promised for.
    pub fn without_local_reads(mut self) -> Self {
        self.operations.retain(|operation| operation.action != Action::Get { read: Read::Local });
        self
    }

    /// The operations on each record, by the time they were asked.
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
