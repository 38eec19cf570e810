//! Checks SQLite's write-ahead log for damage, which SQLite itself does not report.
//!
//! Each frame carries a checksum over everything before it. SQLite reads up to the first frame that
//! does not match, and takes the rest for a batch that a crash cut off. That is right if the rest
//! is nothing, or part of one batch: the next batch is begun only when the last one is on disk. If
//! a whole batch follows the one with the bad frame, that frame was damaged after it had been
//! synced, and what was acknowledged since would be lost silently.
//!
//! Damage to the very last batch looks like a crash, and is taken for one.
//!
//! (The format: <https://www.sqlite.org/fileformat2.html#walformat>.)

#![deny(clippy::disallowed_methods)]

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Where a write-ahead log was damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the write-ahead log was changed at frame {frame} (byte {offset}), and a whole batch follows it")]
pub(super) struct DamagedWal {
    frame: usize,
    offset: usize,
}

type Sums = (u32, u32);

/// Checks that nothing was damaged before the end of the write-ahead log.
pub(super) fn check(wal: &[u8]) -> Result<(), DamagedWal> {
    let Some((header, frames)) = wal.split_at_checked(HEADER) else { return Ok(()) };
    let big_endian = word(header, 0) & 1 == 1;
    let page = word(header, 8) as usize;
    if !(512..=65_536).contains(&page) || !page.is_power_of_two() {
        return damaged_header(frames);
    }
    let mut sums = checksum(big_endian, (0, 0), &header[..24]);
    if sums != (word(header, 24), word(header, 28)) {
        return damaged_header(frames);
    }
    let mut damage = None;
    for (number, frame) in frames.chunks_exact(FRAME_HEADER + page).enumerate() {
        let said = (word(frame, 16), word(frame, 20));
        let of_this_round = frame[8..16] == header[16..24];
        let fits = of_this_round && follows(big_endian, sums, frame) == said;
        match &mut damage {
            None if !fits => {
                let offset = HEADER + number * (FRAME_HEADER + page);
                let ends_left = if of_this_round && ends_batch(frame) { 1 } else { 2 };
                damage = Some((DamagedWal { frame: number, offset }, ends_left));
            }
            Some((damaged, ends_left)) if fits && ends_batch(frame) => {
                *ends_left -= 1;
                if *ends_left == 0 {
                    return Err(*damaged);
                }
            }
            _ => {}
        }
        sums = said;
    }
    Ok(())
}

/// The header is written and synced before the first frame. So a bad header followed by frames was
/// damaged, unless the frames were never written.
fn damaged_header(frames: &[u8]) -> Result<(), DamagedWal> {
    if frames.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(DamagedWal { frame: 0, offset: 0 }) }
}

fn ends_batch(frame: &[u8]) -> bool {
    word(frame, 4) != 0
}

fn follows(big_endian: bool, before: Sums, frame: &[u8]) -> Sums {
    let sums = checksum(big_endian, before, &frame[..8]);
    checksum(big_endian, sums, &frame[FRAME_HEADER..])
}

fn checksum(big_endian: bool, (mut first, mut second): Sums, bytes: &[u8]) -> Sums {
    for pair in bytes.chunks_exact(8) {
        let [one, two] = [0, 4].map(|at| {
            let four = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
            if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
        });
        first = first.wrapping_add(one).wrapping_add(second);
        second = second.wrapping_add(two).wrapping_add(first);
    }
    (first, second)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
