//! The search for an order: depth first, one operation at a time, caching every situation that led nowhere.
//!
//! What keeps it short:
//! - a read that fits the record's state is placed at once, which can do no harm;
//! - a situation (Lowe's configuration) is the set of operations placed and the record's state, whatever
//!   their order;
//! - a write of unknown outcome is placed only just before an operation sees it, and of several with the same
//!   effect the one invoked first.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::model::{Dictionary, Does, State, Step};
use crate::operation::{At, Operation};

/// The result of the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// There is an order.
    Order,
    /// There is none.
    None,
    /// The limit of situations was reached.
    GaveUp,
}

/// Searches for an order of these operations on one record.
pub(super) fn search(initial: Option<&str>, operations: &[&Operation], situations_max: u64) -> Found {
    counted_search(initial, operations, situations_max).0
}

/// The same, with the number of situations visited.
pub(super) fn counted_search(
    initial: Option<&str>,
    operations: &[&Operation],
    situations_max: u64,
) -> (Found, u64) {
    let mut dictionary = Dictionary::new(operations);
    let initial = dictionary.initial(initial);
    Problem::new(operations, &mut dictionary).solve(initial, situations_max)
}

/// The operations on one record, by the time they were invoked.
struct Problem {
    /// The operations that were answered: each has a place in the order.
    certain: Vec<Placed>,
    /// Writes of unknown outcome: each may have a place in the order.
    possible: Vec<Placed>,
    /// True if the record is added to: then a write is visible not only to reads.
    counts: bool,
}

struct Placed {
    step: Step,
    invoked: At,
    returned: At,
}

/// A node of the search: the operations placed, the record's state, and the candidates for the next place.
struct Frame {
    placed: Situation,
    candidates: Vec<Candidate>,
    tried: usize,
}

#[derive(Clone, Copy)]
enum Candidate {
    Certain(usize),
    Possible(usize),
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Situation {
    /// All certain operations before this index are placed…
    first: usize,
    /// …and these after it. They are few, because only operations that overlap it in time can precede it.
    beyond: BTreeSet<usize>,
    /// The possible operations that are placed.
    possible: BTreeSet<usize>,
    state: State,
}

impl Situation {
    /// The key of the situation in the cache: 16 bytes, however long the history is. A collision among a
    /// million of them is less likely than a memory error.
    fn fingerprint(&self) -> u128 {
        let half = |salt: u64| {
            let mut hasher = DefaultHasher::new();
            (salt, self).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        half(0) << 64 | half(1)
    }
}

impl Problem {
    fn new<'a>(operations: &[&'a Operation], dictionary: &mut Dictionary<'a>) -> Self {
        let (mut certain, mut possible) = (Vec::new(), Vec::new());
        for operation in operations {
            let Some(step) = dictionary.step(operation) else { continue };
            let placed = Placed { step, invoked: operation.invoked_at, returned: operation.surely_done_at() };
            match operation.answer() {
                Some(_) => certain.push(placed),
                None if operation.may_have_written() => possible.push(placed),
                None => {}
            }
        }
        certain.sort_by_key(|placed| placed.invoked);
        possible.sort_by_key(|placed| placed.invoked);
        let adds = |placed: &Placed| matches!(placed.step.does, Does::Add { .. });
        let counts = certain.iter().chain(&possible).any(adds);
        Self { certain, possible, counts }
    }

    fn solve(&self, initial: State, situations_max: u64) -> (Found, u64) {
        let start =
            Situation { first: 0, beyond: BTreeSet::new(), possible: BTreeSet::new(), state: initial };
        let mut seen: HashSet<u128> = HashSet::new();
        let mut stack = vec![self.frame(start)];
        while let Some(frame) = stack.last_mut() {
            if frame.placed.first == self.certain.len() {
                return (Found::Order, seen.len() as u64);
            }
            let Some(candidate) = frame.candidates.get(frame.tried).copied() else {
                stack.pop();
                continue;
            };
            frame.tried += 1;
            let Some(next) = self.place(&frame.placed, candidate) else { continue };
            if seen.insert(next.fingerprint()) {
                if seen.len() as u64 > situations_max {
                    return (Found::GaveUp, seen.len() as u64);
                }
                stack.push(self.frame(next));
            }
        }
        (Found::None, seen.len() as u64)
    }

    fn place(&self, from: &Situation, candidate: Candidate) -> Option<Situation> {
        let state = match candidate {
            Candidate::Certain(index) => from.state.after(&self.certain[index].step)?,
            Candidate::Possible(index) => from.state.after(&self.possible[index].step)?,
        };
        let mut next = Situation { state, ..from.clone() };
        match candidate {
            Candidate::Certain(index) => {
                next.beyond.insert(index);
                while next.beyond.remove(&next.first) {
                    next.first += 1;
                }
            }
            Candidate::Possible(index) => {
                next.possible.insert(index);
            }
        }
        Some(next)
    }

    /// The candidates for the next place: every operation invoked before the first of the others returned.
    fn frame(&self, placed: Situation) -> Frame {
        let mut until = At::NEVER;
        let mut certain = Vec::new();
        for index in placed.first..self.certain.len() {
            let operation = &self.certain[index];
            if operation.invoked > until {
                break;
            }
            if !placed.beyond.contains(&index) {
                until = until.min(operation.returned);
                certain.push(index);
            }
        }
        let fits = |index: &&usize| self.certain[**index].step.does == Does::See(placed.state.value());
        if let Some(read) = certain.iter().find(fits) {
            return Frame { candidates: vec![Candidate::Certain(*read)], placed, tried: 0 };
        }
        // The operation that returns first has most likely come first.
        certain.sort_by_key(|index| self.certain[*index].returned);
        let possible = self.possible(&placed, until, &certain);
        let certain = certain.into_iter().filter(|index| !self.sees(*index)).map(Candidate::Certain);
        Frame { candidates: certain.chain(possible.map(Candidate::Possible)).collect(), placed, tried: 0 }
    }

    fn sees(&self, index: usize) -> bool {
        matches!(self.certain[index].step.does, Does::See(_))
    }

    fn possible<'a>(
        &'a self,
        placed: &Situation,
        until: At,
        certain: &[usize],
    ) -> impl Iterator<Item = usize> + use<'a> {
        let wanted: Vec<Does> = certain.iter().map(|index| self.certain[*index].step.does).collect();
        let is_seen = |step: &Step| match step.does {
            Does::Set(value) => self.counts || step.repeated.is_some() || wanted.contains(&Does::See(value)),
            Does::Add { .. } | Does::See(_) => true,
        };
        let mut alike = HashSet::new();
        let mut candidates = Vec::new();
        for (index, operation) in self.possible.iter().enumerate() {
            if operation.invoked > until {
                break;
            }
            let step = &operation.step;
            if !placed.possible.contains(&index) && is_seen(step) && alike.insert(*step) {
                candidates.push(index);
            }
        }
        candidates.into_iter()
    }
}
