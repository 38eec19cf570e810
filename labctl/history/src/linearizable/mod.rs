//! Checks linearizability (Herlihy and Wing 1990): is there an order of the operations that explains every
//! answer and respects real time? The search is Wing and Gong's, with Lowe's cache of configurations already
//! visited.
//!
//! Records are independent, so each is checked alone. Definitely failed operations are left out: if the
//! effect of one was seen anyway, no order explains that. A write of unknown outcome may be placed anywhere
//! after its invocation, or nowhere.

mod model;
mod offence;
mod search;

#[cfg(test)]
mod by_hand;
#[cfg(test)]
mod tests;

use crate::history::History;
use crate::operation::Operation;
use crate::timeline::timeline;

/// The limits of the search, per record.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The number of situations to visit before giving up.
    pub situations: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { situations: 1_000_000 }
    }
}

/// The result of the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every record has such an order.
    Linearizable,
    /// This record has none.
    Violation(Violation),
    /// No record is known to violate it, but the search gave up on this one.
    Undecided {
        /// The record.
        key: String,
        /// The number of its operations.
        operations: usize,
    },
}

/// Operations on one record that no order explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The record.
    pub key: String,
    /// Its value before the first of these operations.
    pub initial: Option<String>,
    /// The operations. None of them can be left out, except those that later ones build on.
    pub operations: Vec<Operation>,
}

impl Violation {
    /// Draws the violation as text.
    pub fn timeline(&self) -> String {
        timeline(&self.key, self.initial.as_deref(), &self.operations)
    }
}

/// Judges a history. If several records violate it, the one with the shortest explanation is returned.
pub fn judge(history: &History, limits: Limits) -> Verdict {
    let mut undecided = None;
    let mut violations = Vec::new();
    for (key, operations) in history.by_key() {
        let initial = history.initial_value(key);
        match search::search(initial, &operations, limits.situations) {
            search::Found::Order => {}
            search::Found::None => violations.push(offence::smallest(key, initial, &operations, limits)),
            search::Found::GaveUp => {
                undecided.get_or_insert(Verdict::Undecided { key: key.into(), operations: operations.len() });
            }
        }
    }
    let shortest = violations.into_iter().min_by_key(|violation| violation.operations.len());
    shortest.map(Verdict::Violation).or(undecided).unwrap_or(Verdict::Linearizable)
}
