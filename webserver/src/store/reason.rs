//! Why a fill failed, as a word that other servers read from Redis. Pure.

#![deny(clippy::disallowed_methods)]

use dbclient::ClientError;

use super::StoreError;

/// Why a fill failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The database did not answer in time.
    Timeout,
    /// The stored value is not a document.
    NotADocument,
    /// Anything else.
    Unavailable,
}

impl Reason {
    /// Returns the reason for this error.
    pub(super) fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Database(error) if matches!(**error, ClientError::Timeout) => Self::Timeout,
            StoreError::NotADocument { .. } => Self::NotADocument,
            _ => Self::Unavailable,
        }
    }

    /// The word in Redis.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::NotADocument => "not_a_document",
            Self::Unavailable => "unavailable",
        }
    }

    /// Parses the word in Redis. An unknown word, perhaps of a newer server, counts as
    /// [`Self::Unavailable`].
    pub(super) fn parse(word: &str) -> Self {
        let known = [Self::Timeout, Self::NotADocument];
        known.into_iter().find(|reason| reason.word() == word).unwrap_or(Self::Unavailable)
    }

    /// The error that a reader of this key gets.
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
