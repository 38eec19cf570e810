//! Recovery: from the files to a log. Every segment is read from its beginning, and anything that
//! is not as it was written is refused, except what a crash may cut short. Nothing is changed here.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::acknowledged::{Acknowledged, Ended, Missing};
use super::record::{self, Found, Head};
use super::replay::Replay;
use super::{Segment, segment};
use crate::storage::disk::about::FORMAT;
use crate::storage::disk::error::OpenError;

/// A log that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) replay: Replay,
    /// The segments; at least one.
    pub(super) segments: VecDeque<Segment>,
    /// Where the last segment's records end.
    pub(super) end: usize,
    /// What follows them: the rest of a batch that a crash cut short.
    pub(super) torn: Option<Range<usize>>,
    /// Segments before the first that counts.
    pub(super) old: Vec<PathBuf>,
}

/// The numbers of the segments in a directory, in order; empty if there is no directory.
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

/// Reads all segments from `first` on. Everything that was acknowledged has to be there.
pub(super) fn read(
    directory: &Path,
    incarnation: Uuid,
    first: u64,
    acknowledged: &Acknowledged,
) -> Result<Read, OpenError> {
    let failed = |source| OpenError::Directory { path: directory.to_owned(), source };
    let damaged = |path: PathBuf, what: String| OpenError::Damaged { path, what };
    let (old, numbers): (Vec<_>, Vec<_>) =
        numbers(directory).map_err(failed)?.into_iter().partition(|number| *number < first);
    let old = old.into_iter().map(|number| segment::path(directory, number)).collect();
    let mut reading = Reading { replay: Replay::default(), ended: Vec::new(), segments: VecDeque::new() };
    let start = numbers.first().copied().unwrap_or(first);
    let mut last: Option<(PathBuf, SegmentRead)> = None;
    for (expected, number) in (start..).zip(numbers) {
        let path = segment::path(directory, number);
        if number != expected {
            let what = format!("segment {expected}, which comes before it, is missing");
            return Err(damaged(path, what));
        }
        let read = reading.read(number, &path, incarnation, last.as_ref())?;
        last = Some((path, read));
    }
    if let Err(missing) = acknowledged.check(&reading.ended) {
        let path = match missing {
            Missing::Segment { .. } => directory.to_owned(),
            Missing::Records { segment, .. } => segment::path(directory, segment),
        };
        return Err(damaged(path, missing.to_string()));
    }
    let Some((path, SegmentRead { end, rest })) = last else {
        return Err(damaged(directory.to_owned(), format!("segment {first} is missing")));
    };
    let torn = match rest {
        Rest::Zeros => None,
        Rest::Torn(torn) => Some(torn),
        Rest::Damaged(what) => return Err(damaged(path, what)),
    };
    Ok(Read { replay: reading.replay, segments: reading.segments, end, torn, old })
}

/// What was read so far.
struct Reading {
    replay: Replay,
    ended: Vec<Ended>,
    segments: VecDeque<Segment>,
}

/// A segment that was read.
struct SegmentRead {
    /// Where its records end.
    end: usize,
    rest: Rest,
}

/// What follows the records of a segment.
enum Rest {
    Zeros,
    /// What a crash may leave of one batch.
    Torn(Range<usize>),
    /// Something that no crash leaves; says what is wrong.
    Damaged(String),
}

impl Reading {
    fn read(
        &mut self,
        number: u64,
        path: &Path,
        incarnation: Uuid,
        before: Option<&(PathBuf, SegmentRead)>,
    ) -> Result<SegmentRead, OpenError> {
        let damaged = |what| OpenError::Damaged { path: path.to_owned(), what };
        let bytes =
            fs::read(path).map_err(|source| OpenError::Directory { path: path.to_owned(), source })?;
        if bytes.len() != segment::SIZE {
            let (length, size) = (bytes.len(), segment::SIZE);
            return Err(damaged(format!("it is {length} bytes long, and was made with {size}")));
        }
        let (head, next) = read_head(number, &bytes, incarnation, path)?;
        if let Some((path, before)) = before {
            let said = head.previous.map(|previous| previous.end);
            before.check(said).map_err(|what| OpenError::Damaged { path: path.clone(), what })?;
        }
        self.replay.head(head);
        let (end, is_clean) = read_bodies(number, &bytes, next, &mut self.replay).map_err(damaged)?;
        let rest = if is_clean { Rest::Zeros } else { rest(number, &bytes, end) };
        self.ended.push(Ended { number, end: end as u64 });
        self.segments.push_back(Segment { number, last_index: self.replay.last_index() });
        Ok(SegmentRead { end, rest })
    }
}

impl SegmentRead {
    /// Compares the segment's end with what the next segment says about it, if it does.
    fn check(&self, said: Option<u64>) -> Result<(), String> {
        let end = self.end as u64;
        match (said, &self.rest) {
            (Some(said), _) if said == end => Ok(()),
            (Some(said), _) => Err(format!(
                "its records end at byte {end}, and the next segment says that they end at byte {said}"
            )),
            (None, Rest::Zeros) => Ok(()),
            (None, _) => Err(format!("the record at byte {end} is not as it was written")),
        }
    }
}

/// Classifies what follows the last readable record.
fn rest(number: u64, bytes: &[u8], end: usize) -> Rest {
    let torn = end..record::used(bytes);
    if record::any_after(number, bytes, end) {
        return Rest::Damaged(format!(
            "the record at byte {end} is not as it was written, and others that are follow it"
        ));
    }
    if torn.len() > segment::BATCH_MAX {
        return Rest::Damaged(format!(
            "the record at byte {end} is not as it was written, and {} bytes follow it: more than one batch",
            torn.len()
        ));
    }
    Rest::Torn(torn)
}

fn read_head(number: u64, bytes: &[u8], incarnation: Uuid, path: &Path) -> Result<(Head, usize), OpenError> {
    let damaged = |what: &str| OpenError::Damaged { path: path.to_owned(), what: what.into() };
    let Found::Record(body, next) = record::read(number, bytes, 0) else {
        return Err(damaged("its first record is not as it was written"));
    };
    // The format comes first, because other formats may give the rest another meaning.
    let (format, _) = postcard::take_from_bytes::<u32>(body).map_err(|_| damaged("it has no format"))?;
    if format > FORMAT {
        return Err(OpenError::NewerFormat { path: path.to_owned(), format, known: FORMAT });
    }
    let head = Head::decode(format, body).map_err(|error| damaged(&error.to_string()))?;
    if head.incarnation != incarnation {
        return Err(damaged("it was not made together with the snapshot next to it"));
    }
    Ok((head, next))
}

/// Replays the batches. Returns where the records end, and whether only zeros follow.
fn read_bodies(
    number: u64,
    bytes: &[u8],
    mut offset: usize,
    replay: &mut Replay,
) -> Result<(usize, bool), String> {
    loop {
        match record::read(number, bytes, offset) {
            Found::Record(body, next) => {
                replay.body(decode(body)?).map_err(|what| format!("the record at byte {offset}: {what}"))?;
                offset = next;
            }
            Found::End => return Ok((offset, true)),
            Found::Broken => return Ok((offset, false)),
        }
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    postcard::from_bytes(body).map_err(|error| error.to_string())
}
