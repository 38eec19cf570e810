//! Decides when a write is durable enough to be acknowledged. The three replication modes differ
//! only in this, and in what may be shown to readers.

#![deny(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};

use super::entry::LogId;

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The primary's disk. Fast, but writes that the replicas did not have yet are lost with the
    /// primary.
    Async,
    /// The disks of a majority. Any primary elected after a failure has it.
    Quorum,
    /// Every member's disk, and every member shows it. While one member is down, no writes are
    /// accepted.
    Sync,
}

impl Mode {
    /// The mode's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Quorum => "quorum",
            Self::Sync => "sync",
        }
    }
}

/// How far the log has been replicated, as the primary knows it. All fields are log indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Persisted on the primary's own disk.
    pub own_disk: u64,
    /// Persisted on the disks of a majority, in the sense of [`committed`].
    pub committed: u64,
    /// Applied by every member.
    pub applied_everywhere: u64,
}

/// The index up to which writes may be acknowledged.
pub fn acknowledged(mode: Mode, reached: Reached) -> u64 {
    match mode {
        Mode::Async => reached.own_disk,
        Mode::Quorum => reached.committed,
        Mode::Sync => reached.committed.min(reached.applied_everywhere),
    }
}

/// The index up to which writes may be shown to readers of one node. A write that is only on this
/// node's disk may still be lost; `async` shows it anyway, and takes it back when it is lost.
pub fn shown(mode: Mode, own_disk: u64, committed: u64) -> u64 {
    match mode {
        Mode::Async => own_disk.max(committed),
        Mode::Quorum | Mode::Sync => committed,
    }
}

/// The last committed entry, given the persisted indexes of the members that count: the last entry
/// that a majority of the members has, if it is of the primary's own term. An entry of an earlier
/// term may still be lost even if a majority has it (the Raft paper's figure 8); it is committed
/// together with the first entry of this term.
pub fn committed(
    members: usize,
    disks: &mut [u64],
    term: u64,
    term_at: impl Fn(u64) -> Option<u64>,
) -> Option<LogId> {
    disks.sort_unstable_by(|one, other| other.cmp(one));
    let index = *disks.get(super::member::majority(members) - 1)?;
    (term_at(index) == Some(term)).then_some(LogId { term, index })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACHED: Reached = Reached { own_disk: 9, committed: 7, applied_everywhere: 4 };

    #[test]
    fn each_mode_waits_for_what_it_promises() {
        assert_eq!(acknowledged(Mode::Async, REACHED), 9);
        assert_eq!(acknowledged(Mode::Quorum, REACHED), 7);
        assert_eq!(acknowledged(Mode::Sync, REACHED), 4);
    }

    #[test]
    fn only_async_shows_what_may_yet_be_lost() {
        assert_eq!([Mode::Async, Mode::Quorum, Mode::Sync].map(|mode| shown(mode, 9, 7)), [9, 7, 7]);
    }

    #[test]
    fn a_majority_commits_also_without_the_primarys_own_disk() {
        let all_of_term_2 = |_| Some(2);
        assert_eq!(committed(3, &mut [0, 5, 4], 2, all_of_term_2), Some(LogId { term: 2, index: 4 }));
        assert_eq!(committed(5, &mut [9, 8, 7], 2, all_of_term_2), Some(LogId { term: 2, index: 7 }));
        assert_eq!(committed(5, &mut [9, 8], 2, all_of_term_2), None, "two of five are no majority");
    }

    #[test]
    fn an_entry_of_an_earlier_term_is_not_committed_by_counting() {
        assert_eq!(committed(3, &mut [5, 5, 0], 3, |_| Some(2)), None);
    }
}
