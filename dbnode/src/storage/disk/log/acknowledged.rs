//! A note of what is certainly on disk, kept next to the log. A log that ends before it, or a
//! snapshot that is older, was damaged, and not cut short by a crash.
//!
//! The note is written after each fsync, but itself synced only now and then. It survives the end
//! of the process; after a power failure it may say less than was on disk, never more.

#![deny(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};

/// What is certainly on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Acknowledged {
    /// The newest segment of the log.
    pub(super) segment: u64,
    /// Where the records of that segment end.
    pub(super) end: u64,
    /// The last entry in the snapshot when the log was last trimmed.
    pub(super) compacted: u64,
}

/// A segment that was read, and where its records end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) number: u64,
    /// Where its records end.
    pub(super) end: u64,
}

impl Acknowledged {
    /// Compares the note with the segments that were found, in order.
    pub(super) fn check(&self, segments: &[Ended]) -> Result<(), Missing> {
        let Self { segment, end: wanted, .. } = *self;
        if segments.last().is_none_or(|last| last.number < segment) {
            return Err(Missing::Segment { segment });
        }
        match segments.iter().find(|found| found.number == segment) {
            Some(&Ended { end, .. }) if end < wanted => Err(Missing::Records { segment, end, wanted }),
            _ => Ok(()),
        }
    }
}

/// What is missing, although it was on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Missing {
    /// A whole segment.
    #[error("segment {segment} is missing, and batches in it were acknowledged")]
    Segment {
        /// The segment's number.
        segment: u64,
    },
    /// The last records of a segment.
    #[error(
        "its records end at byte {end}, and up to byte {wanted} they were acknowledged: {} bytes of them are missing or not as they were written",
        wanted - end
    )]
    Records {
        /// The segment's number.
        segment: u64,
        /// Where the records end.
        end: u64,
        /// Where they should end.
        wanted: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACKNOWLEDGED: Acknowledged = Acknowledged { segment: 7, end: 100, compacted: 3 };

    fn ended(number: u64, end: u64) -> Ended {
        Ended { number, end }
    }

    #[test]
    fn more_than_was_acknowledged_may_be_there() {
        for found in [vec![ended(7, 100)], vec![ended(6, 9), ended(7, 108)], vec![ended(7, 120), ended(8, 9)]]
        {
            assert_eq!(ACKNOWLEDGED.check(&found), Ok(()), "{found:?}");
        }
        assert_eq!(ACKNOWLEDGED.check(&[ended(9, 40)]), Ok(()), "a new log began");
    }

    #[test]
    fn less_is_missing() {
        let records = Missing::Records { segment: 7, end: 92, wanted: 100 };
        assert_eq!(ACKNOWLEDGED.check(&[ended(7, 92)]), Err(records));
        assert_eq!(ACKNOWLEDGED.check(&[ended(7, 92), ended(8, 16)]), Err(records));
        for found in [vec![], vec![ended(6, 500)]] {
            assert_eq!(ACKNOWLEDGED.check(&found), Err(Missing::Segment { segment: 7 }));
        }
    }
}
