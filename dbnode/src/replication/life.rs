//! The starts of a data directory, and how they reveal a directory that has lost something.
//!
//! A directory restored from a copy has the incarnation of the original, but less content: it does
//! not know its later votes, nor what it confirmed since. So every start of a directory has a
//! random id, which is on its disk before the node sends anything, and the ids are kept in order.
//! The other members remember the newest start they have heard of, in the replicated state. A
//! directory that does not know that start is an old one:
//!
//! ```text
//! the directory   a ── b ── c        the others remember c
//! a copy of it    a ── b ── d        c is not among its starts: it does not count
//! ```
//!
//! What is guaranteed: suppose a member has, on its disk, a start that the directory itself does
//! not know. Then that member neither counts the directory's confirmations nor votes for it until
//! the others have let it join again. As long as this holds for every member that could be part of
//! the next majority, no acknowledged write is lost by restoring a directory. What cannot be
//! guaranteed: a member that has been away ever since the copy was made does not know what was
//! forgotten. When such a member and the old directory form a majority by themselves, no member
//! that knows can be asked.
//!
//! A directory that lost the end of its log knows all of its starts. A member that heard its
//! confirmations remembers them, though not on disk, and compares them with what the directory says
//! it found.

#![deny(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};

use super::entry::LogId;
use super::member::Incarnation;

/// How many ids a directory keeps: those of its newest starts. Only a member that was away for more
/// starts than this cannot detect an old directory.
const KEPT: usize = 32;

/// One start of a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Start {
    /// The number of this start, counted from 1.
    pub number: u64,
    /// A random id, drawn for this start.
    pub id: u64,
}

/// The start of a data directory that currently acts under a member's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Acting {
    /// The start.
    pub start: Start,
    /// The index of the entry that says so.
    pub since: u64,
}

/// The starts of a data directory, as it knows them itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Starts {
    count: u64,
    /// The ids of the newest starts, oldest first.
    ids: Vec<u64>,
}

impl Starts {
    /// A number of starts whose ids are unknown.
    pub fn counted(count: u64) -> Self {
        Self { count, ids: Vec::new() }
    }

    /// Adds a start.
    pub fn push(&mut self, id: u64) {
        self.count += 1;
        self.ids.push(id);
        if self.ids.len() > KEPT {
            self.ids.remove(0);
        }
    }

    /// The number of starts.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The newest start.
    pub fn newest(&self) -> Start {
        Start { number: self.count, id: self.ids.last().copied().unwrap_or_default() }
    }

    /// True if this was a start of this directory, as far as its memory reaches.
    pub fn include(&self, start: Start) -> bool {
        let Some(before) = self.count.checked_sub(start.number) else { return false };
        let place = usize::try_from(before).ok().and_then(|before| self.ids.len().checked_sub(before + 1));
        match place.and_then(|place| self.ids.get(place)) {
            Some(id) => *id == start.id,
            None => true,
        }
    }
}

/// What a running node says about itself; it never changes while the node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The data directory it acts with.
    pub incarnation: Incarnation,
    /// The starts of the directory, including this one.
    pub starts: Starts,
    /// The term it found on its disk at startup.
    pub term: u64,
    /// The last log entry it found on its disk at startup.
    pub last: LogId,
}

impl Life {
    /// True if both are the same start of the same directory.
    pub fn is_same(&self, other: &Self) -> bool {
        self.incarnation == other.incarnation && self.starts.newest() == other.starts.newest()
    }

    /// True if this is the same start of the same directory, or a later one.
    pub fn follows(&self, other: &Self) -> bool {
        self.incarnation == other.incarnation && self.starts.include(other.starts.newest())
    }
}

/// What is remembered of another node since this node started.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    incarnation: Incarnation,
    starts: Starts,
    /// The newest term it was in.
    term: u64,
    /// The newest entry that it confirmed to be on its disk and that is committed. An uncommitted
    /// entry may be truncated again, which loses nothing.
    confirmed: LogId,
}

impl Memory {
    pub(super) fn new(life: &Life) -> Self {
        let Life { incarnation, starts, term, .. } = life;
        Self { incarnation: *incarnation, starts: starts.clone(), term: *term, confirmed: LogId::default() }
    }

    /// True if a life has less than is remembered of the same directory. A late message from an
    /// earlier start does not count as such.
    pub(super) fn exceeds(&self, life: &Life) -> bool {
        if self.incarnation != life.incarnation || self.starts.include(life.starts.newest()) {
            return false;
        }
        !life.starts.include(self.starts.newest()) || life.term < self.term || life.last < self.confirmed
    }

    /// True if the cluster has since agreed that another start of the same directory acts, one that
    /// the remembered starts do not lead to.
    pub(super) fn is_from_before(&self, incarnation: Incarnation, start: Start) -> bool {
        self.incarnation == incarnation && !self.starts.include(start)
    }

    /// Records that the node sent a message in this term.
    pub(super) fn update(&mut self, life: &Life, term: u64) {
        if self.incarnation != life.incarnation {
            *self = Self::new(life);
        }
        if life.starts.include(self.starts.newest()) {
            self.starts.clone_from(&life.starts);
            self.term = self.term.max(term);
        }
    }

    /// Records that the node confirmed an entry that is committed.
    pub(super) fn confirm(&mut self, place: LogId) {
        self.confirmed = self.confirmed.max(place);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn starts(ids: &[u64]) -> Starts {
        let mut starts = Starts::default();
        ids.iter().for_each(|id| starts.push(*id));
        starts
    }

    fn life(ids: &[u64], term: u64, index: u64) -> Life {
        let incarnation = Incarnation(Uuid::from_u128(1));
        Life { incarnation, starts: starts(ids), term, last: LogId { term: 1, index } }
    }

    #[test]
    fn a_copy_does_not_know_of_later_starts_however_often_it_is_started() {
        let newest = starts(&[7, 8]).newest();
        assert!(starts(&[7, 8, 9]).include(newest));
        assert!(!starts(&[7]).include(newest), "too few");
        assert!(!starts(&[7, 1]).include(newest), "as many, and others");
        assert!(!starts(&[7, 1, 2, 3]).include(newest), "more, and others");
    }

    #[test]
    fn starts_before_the_oldest_that_is_kept_are_believed() {
        let ids: Vec<_> = (1..=KEPT as u64 + 2).collect();
        let many = starts(&ids);
        assert_eq!((many.count(), many.newest().id), (KEPT as u64 + 2, KEPT as u64 + 2));
        assert!(many.include(Start { number: 2, id: 99 }));
        assert!(!many.include(Start { number: 3, id: 99 }));
        assert!(many.include(Start { number: 3, id: 3 }));
    }

    #[test]
    fn what_was_heard_before_another_start_was_agreed_to_is_from_before() {
        let memory = Memory::new(&life(&[7, 8], 1, 10));
        let (here, elsewhere) = (Incarnation(Uuid::from_u128(1)), Incarnation(Uuid::from_u128(2)));
        assert!(!memory.is_from_before(here, starts(&[7, 8]).newest()));
        assert!(!memory.is_from_before(here, starts(&[7]).newest()), "it is known to have come later");
        assert!(memory.is_from_before(here, starts(&[7, 1]).newest()), "a copy joined again");
        assert!(!memory.is_from_before(elsewhere, starts(&[1]).newest()), "another directory");
    }

    #[test]
    fn less_than_was_confirmed_is_noticed_at_the_next_start() {
        let mut memory = Memory::new(&life(&[7], 1, 10));
        memory.update(&life(&[7], 1, 10), 4);
        memory.confirm(LogId { term: 1, index: 20 });
        assert!(!memory.exceeds(&life(&[7], 1, 10)), "the same start has lost nothing");
        assert!(!memory.exceeds(&life(&[7, 8], 4, 20)));
        assert!(memory.exceeds(&life(&[7, 8], 4, 19)), "an entry is gone");
        assert!(memory.exceeds(&life(&[7, 8], 3, 20)), "a term is gone, and perhaps a vote in it");
        memory.update(&life(&[7, 8], 4, 20), 4);
        assert!(memory.exceeds(&life(&[7, 9], 4, 20)), "another start came after the first");
        assert!(!memory.exceeds(&life(&[7], 1, 10)), "what the first start said comes late");
    }
}
