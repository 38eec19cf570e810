//! From the files to a log: every segment is read from its beginning, and anything that is not as
//! it was written is refused, but for what a crash cut short.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::record::{self, Found, Head};
use super::replay::Replay;
use super::{Segment, segment};
use crate::storage::disk::about::FORMAT;
use crate::storage::disk::error::OpenError;

/// What was read.
pub(super) struct Read {
    pub(super) replay: Replay,
    /// There is at least one.
    pub(super) segments: VecDeque<Segment>,
    /// Where the last one's records end.
    pub(super) end: usize,
}

/// The numbers of the segments in a directory, in order; none where there is no directory.
pub(super) fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let files = match fs::read_dir(directory) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for file in files {
        numbers.extend(segment::number(&file?.path()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads all segments. Those before the first that counts are removed.
pub(super) fn read(directory: &Path, incarnation: Uuid, first: u64) -> Result<Read, OpenError> {
    let failed = |source| OpenError::Directory { path: directory.to_owned(), source };
    let (old, numbers): (Vec<_>, Vec<_>) =
        numbers(directory).map_err(failed)?.into_iter().partition(|number| *number < first);
    for number in old {
        fs::remove_file(segment::path(directory, number)).map_err(failed)?;
    }
    let mut read = Read { replay: Replay::default(), segments: VecDeque::new(), end: 0 };
    let last = numbers.last().copied();
    let start = numbers.first().copied().unwrap_or(first);
    for (expected, number) in (start..).zip(numbers) {
        let path = segment::path(directory, number);
        let damaged = |what| OpenError::Damaged { path: path.clone(), what };
        if number != expected {
            return Err(damaged(format!("segment {expected}, which comes before it, is missing")));
        }
        let bytes = fs::read(&path).map_err(failed)?;
        let next = read_head(number, &bytes, incarnation, &path, &mut read.replay)?;
        let (end, ending) = read_bodies(number, &bytes, next, &mut read.replay).map_err(damaged)?;
        if ending == Ending::Broken {
            if Some(number) != last || record::any_after(number, &bytes, end) {
                return Err(damaged(format!("the record at byte {end} is not as it was written")));
            }
            tracing::info!(path = %path.display(), byte = end, "a batch that a crash cut short is left out");
        }
        read.segments.push_back(Segment { number, last_index: read.replay.last_index() });
        read.end = end;
    }
    match read.segments.is_empty() {
        false => Ok(read),
        true => {
            let what = format!("segment {first} is missing");
            Err(OpenError::Damaged { path: directory.to_owned(), what })
        }
    }
}

/// How a segment's records end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Behind the last one there are zeros.
    Clean,
    /// Something stands there.
    Broken,
}

fn read_head(
    number: u64,
    bytes: &[u8],
    incarnation: Uuid,
    path: &Path,
    replay: &mut Replay,
) -> Result<usize, OpenError> {
    let damaged = |what: &str| OpenError::Damaged { path: path.to_owned(), what: what.into() };
    let Found::Record(body, next) = record::read(number, bytes, 0) else {
        return Err(damaged("its first record is not as it was written"));
    };
    // The format comes first: the rest may mean something else in another one.
    let (format, _) = postcard::take_from_bytes::<u32>(body).map_err(|_| damaged("it has no format"))?;
    if format > FORMAT {
        return Err(OpenError::NewerFormat { path: path.to_owned(), format, known: FORMAT });
    }
    let head: Head = decode(body).map_err(|what| damaged(&what))?;
    if head.incarnation != incarnation {
        return Err(damaged("it was not made together with the snapshot next to it"));
    }
    replay.head(head);
    Ok(next)
}

fn read_bodies(
    number: u64,
    bytes: &[u8],
    mut offset: usize,
    replay: &mut Replay,
) -> Result<(usize, Ending), String> {
    loop {
        match record::read(number, bytes, offset) {
            Found::Record(body, next) => {
                replay.body(decode(body)?).map_err(|what| format!("the record at byte {offset}: {what}"))?;
                offset = next;
            }
            Found::End => return Ok((offset, Ending::Clean)),
            Found::Broken => return Ok((offset, Ending::Broken)),
        }
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    postcard::from_bytes(body).map_err(|error| error.to_string())
}
