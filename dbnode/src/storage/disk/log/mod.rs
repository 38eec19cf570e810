//! The log on disk: numbered segments of records, each record a batch and one fsync.
//!
//! ```text
//! DIR/log/00000000000000000007.log   head, batch, batch, …
//! DIR/log/00000000000000000008.log   head, batch, batch, 0 0 0 …     the one in use
//! DIR/log/spare                      zeros, for the next one
//! ```
//!
//! Segments whose entries are all in the snapshot are removed. What a crash cuts short is the last
//! record of the last segment, for the next is only begun when it is on disk; anything else that
//! cannot be read was damaged, and is refused. Damage to the very last record looks like a crash,
//! and is taken for one.

/// What was cut off, for people to look at.
mod aside;
/// What one record says ◇.
mod record;
/// From the files to a log.
mod recovery;
/// From records to a log ◇.
mod replay;
/// One file.
mod segment;
/// The thread that waits for the disk.
mod thread;

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use uuid::Uuid;

pub(super) use replay::Replay;
pub(super) use thread::LogThread;

use super::about::FORMAT;
use super::error::OpenError;
use crate::replication::disk::{Ballot, Batch};
use crate::replication::entry::Entry;
use crate::storage::Failure;
use record::{Body, Head, encode};

/// The log's files.
#[derive(Debug)]
pub(super) struct LogFiles {
    directory: PathBuf,
    /// The segments, the oldest first; the last one is in use.
    segments: VecDeque<Segment>,
    file: File,
    offset: usize,
    /// What the next segment begins with.
    head: Head,
    /// The file for the next segment, on its way.
    spare: Option<JoinHandle<io::Result<File>>>,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    /// No entry in it has a higher index.
    last_index: u64,
}

impl LogFiles {
    /// True when there are no segments.
    pub(super) fn is_new(data: &Path) -> Result<bool, OpenError> {
        let directory = data.join("log");
        match recovery::numbers(&directory) {
            Ok(numbers) => Ok(numbers.is_empty()),
            Err(source) => Err(OpenError::Directory { path: directory, source }),
        }
    }

    /// Makes the first segment.
    pub(super) fn create(data: &Path, incarnation: Uuid) -> io::Result<()> {
        let directory = data.join("log");
        fs::create_dir_all(&directory)?;
        let head =
            Head { format: FORMAT, incarnation, ballot: Ballot::default(), committed: 0, discarded: 0 };
        let file = segment::make(&directory.join("spare"))?;
        begin_segment(&directory, &file, 1, &head)?;
        segment::sync_directory(data)
    }

    /// Opens the log, and reads it. Segments before the first that counts are removed.
    pub(super) fn open(data: &Path, incarnation: Uuid, first: u64) -> Result<(Self, Replay), OpenError> {
        let directory = data.join("log");
        let failed = |source| OpenError::Directory { path: directory.clone(), source };
        let recovery::Read { replay, segments, end } = recovery::read(&directory, incarnation, first)?;
        let last = segments.back().expect("a log has at least one segment");
        let path = segment::path(&directory, last.number);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        segment::clear_from(&file, end).map_err(failed)?;
        let Replay { ballot, committed, discarded, .. } = &replay;
        let (committed, discarded) = (*committed, *discarded);
        let head = Head { format: FORMAT, incarnation, ballot: ballot.clone(), committed, discarded };
        Ok((Self { directory, segments, file, offset: end, head, spare: None }, replay))
    }

    /// Writes a batch. It is on disk when this returns.
    pub(super) fn append(&mut self, batch: Batch) -> Result<(), Failure> {
        let discarded = batch.cut_off.len() as u64;
        let cut_off = batch.cut_off;
        let last = batch.entries.last().map(|entry| entry.index);
        let body = Body {
            ballot: batch.ballot,
            cut_after: batch.cut_after,
            discarded,
            committed: batch.committed,
            entries: batch.entries,
        };
        let mut record = encode(self.number(), self.offset, &body);
        if self.offset + record.len() > segment::SIZE {
            self.rotate().map_err(failure)?;
            record = encode(self.number(), self.offset, &body);
        }
        aside::keep(&self.directory, &cut_off).map_err(failure)?;
        segment::write(&self.file, self.offset, &record).map_err(failure)?;
        self.offset += record.len();
        self.head.ballot = body.ballot.unwrap_or_else(|| std::mem::take(&mut self.head.ballot));
        self.head.committed = self.head.committed.max(body.committed);
        self.head.discarded += discarded;
        let segment = self.segments.back_mut().expect("a log has at least one segment");
        segment.last_index = segment.last_index.max(last.unwrap_or(0));
        self.prepare_spare();
        Ok(())
    }

    /// Lets go of the segments whose entries are all in the snapshot, which ends there.
    pub(super) fn trim(&mut self, up_to: u64) -> Result<(), Failure> {
        while self.segments.len() > 1 && self.segments[0].last_index <= up_to {
            self.remove_first().map_err(failure)?;
        }
        Ok(())
    }

    /// Begins a segment that follows nothing, and says its number: from there on the log will
    /// count, once the snapshot says so. What is lost with the log is kept aside.
    pub(super) fn begin_anew(&mut self, cut_off: &[Entry]) -> Result<u64, Failure> {
        aside::keep(&self.directory, cut_off).map_err(failure)?;
        self.head.discarded += cut_off.len() as u64;
        self.rotate().map_err(failure)?;
        Ok(self.number())
    }

    /// The log begins with the segment in use.
    pub(super) fn drop_before(&mut self) -> Result<(), Failure> {
        while self.segments.len() > 1 {
            self.remove_first().map_err(failure)?;
        }
        Ok(())
    }

    fn remove_first(&mut self) -> io::Result<()> {
        fs::remove_file(segment::path(&self.directory, self.segments[0].number))?;
        self.segments.pop_front();
        Ok(())
    }

    fn number(&self) -> u64 {
        self.segments.back().expect("a log has at least one segment").number
    }

    fn rotate(&mut self) -> io::Result<()> {
        let spare = self.spare.take().map(|spare| spare.join().expect("making a file does not panic"));
        let file = match spare {
            Some(Ok(file)) => file,
            _ => segment::make(&self.directory.join("spare"))?,
        };
        let number = self.number() + 1;
        self.offset = begin_segment(&self.directory, &file, number, &self.head)?;
        self.file = file;
        self.segments.push_back(Segment { number, last_index: 0 });
        Ok(())
    }

    /// From half of a segment on, the next one is being made.
    fn prepare_spare(&mut self) {
        if self.spare.is_none() && self.offset > segment::SIZE / 2 {
            let path = self.directory.join("spare");
            self.spare = Some(std::thread::spawn(move || segment::make(&path)));
        }
    }
}

/// Makes the file that is called `spare` a segment; where its first batch goes.
fn begin_segment(directory: &Path, file: &File, number: u64, head: &Head) -> io::Result<usize> {
    let record = encode(number, 0, head);
    segment::write(file, 0, &record)?;
    file.sync_all()?;
    fs::rename(directory.join("spare"), segment::path(directory, number))?;
    segment::sync_directory(directory)?;
    Ok(record.len())
}

/// What an error means to whoever stores something.
fn failure(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Failure::Full
        }
        _ => Failure::Broken(error.into()),
    }
}
