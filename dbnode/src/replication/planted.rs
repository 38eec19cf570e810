//! Bugs put in on purpose: a checker is trusted after it has caught one. Without the feature
//! `planted-bugs` none can be put in.

#![deny(clippy::disallowed_methods)]

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A ballot is taken for written before it is, and never is.
    VoteNotPersisted,
    /// A vote is given to whoever asks first, whatever its log has.
    NoUpToDateCheck,
    /// Entries of earlier terms are taken for committed when a majority has them.
    CommitsOldTerms,
    /// A read of the latest asks nobody.
    NoReadIndex,
    /// Entries are taken from a primary of the past.
    NoTermCheck,
    /// What diverged stays in the log.
    NoTruncation,
    /// `sync` acknowledges what a majority has.
    SyncWithoutAll,
    /// A piece of a snapshot that comes late is taken for the one that is waited for.
    AnyPiece,
    /// Any data directory under a member's name counts.
    NewCountsAtOnce,
    /// A directory that was put back from a copy counts.
    OldDataCounts,
    /// A directory that was replaced counts until that is known to be committed.
    ReplacedCountsUntilCommitted,
    /// A new directory counts before it is known to be committed that it joins.
    NewCountsUncommitted,
    /// A snapshot takes the place of a log that has all of it and more.
    InstallsOverLog,
    /// A primary answers reads of the latest without asking anybody.
    ReadsAlone,
    /// A new primary answers reads before it knows what is committed.
    ReadsUnsettled,
    /// A new primary forgets the names of the writes that are not applied yet.
    ForgetsNamesOfUnapplied,
    /// Names are forgotten at once.
    ForgetsNamesEarly,
    /// A replica takes for committed what it has not compared with the primary's log.
    CommitsUnverified,
    /// A replica confirms what is only in its memory.
    ConfirmsBeforeDisk,
    /// A primary counts its own memory for its disk.
    CountsOwnMemory,
    /// Records that were imported by one member alone stay.
    KeepsOwnImport,
    /// A primary whose disk is full goes on.
    NeverGivesWay,
}

/// Which bug is put in, if one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Planted {
    #[cfg(feature = "planted-bugs")]
    bug: Option<Bug>,
}

impl Planted {
    /// This bug is put in.
    #[cfg(feature = "planted-bugs")]
    pub fn bug(bug: Bug) -> Self {
        Self { bug: Some(bug) }
    }

    /// Whether this one is.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn has(self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Whether this one is: no.
    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "with bugs to be planted it is used")]
    pub(super) const fn has(self, _: Bug) -> bool {
        false
    }
}
