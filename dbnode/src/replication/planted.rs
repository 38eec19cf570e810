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
