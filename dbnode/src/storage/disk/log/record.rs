//! One record of a log segment: its length, its checksum, and its body.
//!
//! ```text
//! offset   length: u32   checksum: u32   body, padded to a multiple of 8 bytes   next offset …
//! ```
//!
//! The checksum also covers the segment's number and the offset, so that no old or misplaced record
//! is accepted. Zeros follow the last record.

#![deny(clippy::disallowed_methods)]

use crc::{CRC_32_ISCSI, Crc, Table};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::replication::disk::Ballot;
use crate::replication::entry::Entry;

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

const HEAD: usize = 8;
const ALIGNMENT: usize = 8;

/// The first record of a segment: what must be known without the earlier segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The format of the rest.
    pub(super) format: u32,
    /// The data directory it belongs to.
    pub(super) incarnation: Uuid,
    /// The ballot.
    pub(super) ballot: Ballot,
    /// The commit index when the segment was begun.
    pub(super) committed: u64,
    /// The total number of writes ever truncated.
    pub(super) discarded: u64,
    /// The previous segment; `None` for the first one, and before format 3.
    pub(super) previous: Option<Previous>,
}

/// How the previous segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Previous {
    /// Where its last record ended.
    pub(super) end: u64,
    /// The last entry of the log up to there; 0 if a new log begins here.
    pub(super) last_index: u64,
}

impl Head {
    /// Decodes the first record of a segment of this format.
    pub(super) fn decode(format: u32, body: &[u8]) -> Result<Self, postcard::Error> {
        if format >= 3 {
            return postcard::from_bytes(body);
        }
        let (format, incarnation, ballot, committed, discarded) = postcard::from_bytes(body)?;
        Ok(Self { format, incarnation, ballot, committed, discarded, previous: None })
    }
}

/// Every other record: a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Body {
    pub(super) ballot: Option<Ballot>,
    pub(super) cut_after: Option<u64>,
    pub(super) discarded: u64,
    pub(super) committed: u64,
    pub(super) entries: Vec<Entry>,
}

/// The content at an offset.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A record, and the offset of the next one.
    Record(&'a [u8], usize),
    /// Nothing: the records end here.
    End,
    /// Anything else.
    Broken,
}

/// Encodes a record for this offset.
pub(super) fn encode(segment: u64, offset: usize, says: &impl Serialize) -> Vec<u8> {
    // Starts with the size of the smallest record, so that small records are rarely reallocated.
    let mut head = Vec::with_capacity(ALIGNMENT);
    head.resize(HEAD, 0);
    let mut record = postcard::to_extend(says, head).expect("plain data always serializes");
    let length = record.len() - HEAD;
    let checksum = checksum(segment, offset, &record[HEAD..]);
    record[..4].copy_from_slice(&u32::try_from(length).expect("a batch is bounded").to_le_bytes());
    record[4..8].copy_from_slice(&checksum.to_le_bytes());
    record.resize(record.len().next_multiple_of(ALIGNMENT), 0);
    record
}

/// Reads what is at an offset of a segment.
pub(super) fn read(segment: u64, bytes: &[u8], offset: usize) -> Found<'_> {
    match record_at(segment, bytes, offset) {
        Some(body) => Found::Record(body, (offset + HEAD + body.len()).next_multiple_of(ALIGNMENT)),
        None if used(&bytes[offset.min(bytes.len())..]) == 0 => Found::End,
        None => Found::Broken,
    }
}

/// The number of bytes before the trailing zeros.
pub(super) fn used(bytes: &[u8]) -> usize {
    const PIECE: usize = 4_096;
    let pieces = bytes.chunks(PIECE).enumerate();
    let last = pieces.rev().find(|(_, piece)| *piece != &[0; PIECE][..piece.len()]);
    let in_last = |piece: &[u8]| piece.iter().rposition(|byte| *byte != 0).map_or(0, |place| place + 1);
    last.map_or(0, |(number, piece)| number * PIECE + in_last(piece))
}

/// True if there is an intact record anywhere after an offset.
pub(super) fn any_after(segment: u64, bytes: &[u8], offset: usize) -> bool {
    let mut offsets = (offset + ALIGNMENT..bytes.len()).step_by(ALIGNMENT);
    offsets.any(|offset| record_at(segment, bytes, offset).is_some())
}

/// The record at an offset, if there is an intact one.
fn record_at(segment: u64, bytes: &[u8], offset: usize) -> Option<&[u8]> {
    let head = bytes.get(offset..offset + HEAD)?;
    let [length, said] =
        [0, 4].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    let from = offset + HEAD;
    let body = bytes.get(from..from.checked_add(length as usize)?)?;
    (length > 0 && checksum(segment, offset, body) == said).then_some(body)
}

fn checksum(segment: u64, offset: usize, body: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&segment.to_le_bytes());
    digest.update(&(offset as u64).to_le_bytes());
    digest.update(body);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> (Vec<u8>, usize) {
        let mut bytes = encode(7, 0, &"first");
        let second = bytes.len();
        bytes.extend(encode(7, second, &"second, and longer"));
        bytes.resize(4_096, 0);
        (bytes, second)
    }

    #[test]
    fn records_are_read_as_they_were_written_up_to_the_zeros() {
        let (bytes, second) = segment();
        let Found::Record(body, next) = read(7, &bytes, 0) else { panic!() };
        assert_eq!((postcard::from_bytes(body), next), (Ok("first"), second));
        let Found::Record(_, end) = read(7, &bytes, second) else { panic!() };
        assert_eq!(read(7, &bytes, end), Found::End);
        assert_eq!(read(7, &bytes, bytes.len()), Found::End, "a full segment");
    }

    #[test]
    fn a_record_of_another_segment_or_place_is_none() {
        let (bytes, second) = segment();
        assert_eq!(read(8, &bytes, 0), Found::Broken);
        assert_eq!(read(7, &bytes[second..], 0), Found::Broken);
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_so_is_what_follows_it() {
        let (whole, second) = segment();
        // The padding to a multiple of eight bytes is not covered.
        for place in 0..8 + 1 + 5 {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            assert_eq!(read(7, &bytes, 0), Found::Broken, "byte {place}");
            assert!(any_after(7, &bytes, 0), "byte {place}");
        }
        assert!(!any_after(7, &whole, second));
    }
}
