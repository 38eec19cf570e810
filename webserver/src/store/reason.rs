//! Why a fill failed, in a word that other servers read in Redis. Decides only.

#![deny(clippy::disallowed_methods)]

use dbclient::ClientError;

use super::StoreError;

/// Why a fill failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The database did not answer in time.
    Timeout,
    /// What it has is not a document.
    NotADocument,
    /// Anything else.
    Unavailable,
}

impl Reason {
    /// Why a fill failed that ended so.
    pub(super) fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Database(error) if matches!(**error, ClientError::Timeout) => Self::Timeout,
            StoreError::NotADocument { .. } => Self::NotADocument,
            _ => Self::Unavailable,
        }
    }

    /// As it stands in Redis.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NotADocument => "not_a_document",
            Self::Unavailable => "unavailable",
        }
    }

    /// What stands in Redis. A word that is not known, from a newer server perhaps, says enough all the
    /// same: it failed.
    pub(super) fn parse(word: &str) -> Self {
        let known = [Self::Timeout, Self::NotADocument];
        known.into_iter().find(|reason| reason.word() == word).unwrap_or(Self::Unavailable)
    }

    /// What a reader of this key is told.
    pub(super) fn error(self, key: &str) -> StoreError {
        match self {
            Self::Timeout => ClientError::Timeout.into(),
            Self::NotADocument => StoreError::NotADocument { key: key.to_owned() },
            Self::Unavailable => {
                ClientError::Unavailable { detail: "it has just failed to; try again later".into() }.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_read_as_it_was_written_and_told_as_it_came() {
        for reason in [Reason::Timeout, Reason::NotADocument, Reason::Unavailable] {
            assert_eq!(Reason::parse(reason.word()), reason);
            assert_eq!(Reason::of(&reason.error("key")), reason);
        }
        assert_eq!(Reason::parse(""), Reason::Unavailable);
    }
}
