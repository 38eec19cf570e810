//! Is there an order of the operations that explains every answer, and keeps to the time in which
//! they were asked and answered? (Herlihy and Wing 1990; the search is Wing and Gong's with Lowe's
//! memory of what has been tried.)
//!
//! Records do not depend on each other, so each is judged alone. What surely failed is left out: if
//! somebody saw it all the same, no order explains that. A write whose outcome is unknown may stand
//! anywhere after it was asked, or nowhere.

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

/// How long to search, for each record.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many situations to look at before giving up.
    pub situations: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { situations: 1_000_000 }
    }
}

/// What became of the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order, for every record.
    Linearizable,
    /// There is none for this record.
    Violation(Violation),
    /// No record is known to be wrong, but for this one the search was given up.
    Undecided {
        /// Which record.
        key: String,
        /// How many operations it has.
        operations: usize,
    },
}

/// Operations on one record that no order explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which record.
    pub key: String,
    /// Its value before the first of these operations.
    pub initial: Option<String>,
    /// The operations: none of them can be left out, but for those that others build upon.
    pub operations: Vec<Operation>,
}

impl Violation {
    /// As a picture, to be printed.
    pub fn timeline(&self) -> String {
        timeline(&self.key, self.initial.as_deref(), &self.operations)
    }
}

/// Judges a history. Of several wrong records the one with the shortest explanation is shown.
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
