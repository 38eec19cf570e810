//! The log on disk: numbered segments of records. Each record is one batch, written with one fsync
//! (group commit).
//!
//! ```text
//! DIR/log/00000000000000000007.log   head, batch, batch, …
//! DIR/log/00000000000000000008.log   head, batch, batch, 0 0 0 …     the one in use
//! DIR/log/spare                      space for the next one
//! DIR/acknowledged                   a note of what is certainly on disk
//! ```
//!
//! Segments whose entries are all in the snapshot are removed. A crash can cut short only the last
//! record of the last segment, because the next record is begun only when this one is on disk. Any
//! other unreadable record means damage, and the node refuses to start; so does a log that ends
//! before what was acknowledged.

mod acknowledged;
/// Truncated writes, for inspection by people.
mod aside;
mod record;
/// Recovery: from the files to a log.
mod recovery;
mod replay;
/// Disk space held back for when the disk is full.
mod reserve;
/// One file of the log.
mod segment;
/// The file for the next segment.
mod spare;
/// The thread that waits for the disk.
mod thread;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use uuid::Uuid;

pub(super) use replay::Replay;
pub(super) use thread::LogThread;

use super::about::FORMAT;
use super::error::OpenError;
use super::files::{self, Directory, OpenFile};
use super::slots::{Held, Slots};
use crate::replication::disk::{Ballot, Batch};
use crate::replication::entry::Entry;
use crate::storage::Failure;
use acknowledged::Acknowledged;
use aside::Kept;
use record::{Body, Head, Previous, encode};
use recovery::Read;
use reserve::Reserve;
use spare::Spare;

/// The log's files.
#[derive(Debug)]
pub(super) struct LogFiles {
    data: Directory,
    directory: Directory,
    /// The segments, oldest first; the last one is in use.
    segments: VecDeque<Segment>,
    file: OpenFile,
    /// The offset of the current segment's first batch.
    begins: usize,
    /// The offset of the current segment's next batch.
    offset: usize,
    /// Where the leftovers of a failed write beyond the offset end.
    dirty: usize,
    /// The index of the last entry.
    last: u64,
    /// True if the current segment is at least half full.
    is_half_full: bool,
    /// True if the current segment starts a new log: entries in earlier segments do not count.
    begins_new_log: bool,
    /// The head of the next segment.
    head: Head,
    spare: Spare,
    reserve: Reserve,
    acknowledged: Slots<Acknowledged>,
    marked: Acknowledged,
    /// True if the note is written but not synced.
    is_marked_only: bool,
    usage: Arc<Usage>,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    /// No entry in it has a higher index.
    last_index: u64,
}

/// The log's disk usage, shared with other threads.
#[derive(Debug, Default)]
pub(super) struct Usage {
    bytes: AtomicU64,
    is_short: AtomicBool,
}

impl Usage {
    /// The space it takes, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// True while there is no space for the next segment.
    pub(super) fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }
}

/// A log that was read but not changed yet.
#[derive(Debug)]
pub(super) struct Found {
    data: PathBuf,
    incarnation: Uuid,
    read: Read,
    acknowledged: Option<(Slots<Acknowledged>, Acknowledged)>,
}

impl Found {
    /// The content of the records.
    pub(super) fn replay(&mut self) -> &mut Replay {
        &mut self.read.replay
    }

    /// The last entry in the snapshot when the log was last trimmed.
    pub(super) fn compacted(&self) -> u64 {
        self.acknowledged.as_ref().map_or(0, |(_, acknowledged)| acknowledged.compacted)
    }

    /// The number of truncated writes that are missing from `discarded.jsonl`, or unreadable there.
    pub(super) fn discarded_missing(&self) -> io::Result<u64> {
        Ok(self.read.replay.discarded.saturating_sub(aside::count(&self.data)?))
    }
}

impl LogFiles {
    /// True if there are no segments.
    pub(super) fn is_new(data: &Path) -> Result<bool, OpenError> {
        let directory = data.join("log");
        match recovery::numbers(&directory) {
            Ok(numbers) => Ok(numbers.is_empty()),
            Err(source) => Err(OpenError::Directory { path: directory, source }),
        }
    }

    /// Creates the first segment.
    pub(super) fn create(data: &Path, incarnation: Uuid) -> io::Result<()> {
        let path = data.join("log");
        fs::create_dir_all(&path)?;
        let head = Head {
            format: FORMAT,
            incarnation,
            ballot: Ballot::default(),
            committed: 0,
            discarded: 0,
            previous: None,
        };
        let mut file = Spare::new(&path).take()?;
        let acknowledged = Acknowledged { segment: 1, end: 0, compacted: 0 };
        // This also syncs the name of the log's directory.
        drop(Slots::create(&data.join("acknowledged"), &acknowledged)?);
        begin_segment(&Directory::open(path)?, &mut file, 1, &head)?;
        Ok(())
    }

    /// Reads the log without changing anything. A directory created in an older format may lack the
    /// note of what was acknowledged.
    pub(super) fn read(
        data: &Path,
        incarnation: Uuid,
        first: u64,
        may_know_nothing: bool,
    ) -> Result<Found, OpenError> {
        let path = data.join("acknowledged");
        let acknowledged = match Slots::open(&path)? {
            // An unreadable slot either says less than the other one or was torn; the other one is
            // true in both cases.
            Some((slots, Held { value, .. })) => Some((slots, value)),
            None if may_know_nothing => None,
            None => {
                return Err(OpenError::Damaged { path, what: "it is gone, and the log is not".into() });
            }
        };
        let known = acknowledged.as_ref().map_or(Acknowledged::default(), |(_, value)| *value);
        let read = recovery::read(&data.join("log"), incarnation, first, &known)?;
        Ok(Found { data: data.to_owned(), incarnation, read, acknowledged })
    }

    /// Opens a log that was read and found intact, and clears what a crash left behind. The
    /// snapshot ends with the entry `snapshot`.
    pub(super) fn open(found: Found, snapshot: u64) -> Result<Self, OpenError> {
        let path = found.data.clone();
        Self::take_over(found, snapshot).map_err(|source| OpenError::Directory { path, source })
    }

    fn take_over(found: Found, snapshot: u64) -> io::Result<Self> {
        let Found { data, incarnation, read: Read { replay, segments, end, torn, old }, acknowledged } =
            found;
        let directory = Directory::open(data.join("log"))?;
        let number = segments.back().expect("a log has at least one segment").number;
        let file = OpenFile::open(segment::path(directory.path(), number))?;
        if let Some(torn) = torn {
            clear(&file, number, torn)?;
        }
        for path in old {
            files::remove(&path)?;
        }
        let Replay { ballot, committed, discarded, .. } = &replay;
        let (ballot, committed, discarded) = (ballot.clone(), *committed, *discarded);
        let head = Head { format: FORMAT, incarnation, ballot, committed, discarded, previous: None };
        let (acknowledged, marked) = match acknowledged {
            Some(known) => known,
            None => {
                let marked = Acknowledged { segment: number, end: end as u64, compacted: 0 };
                (Slots::create(&data.join("acknowledged"), &marked)?, marked)
            }
        };
        let (spare, reserve) = (Spare::new(directory.path()), Reserve::new(&data));
        let last = snapshot.max(replay.last_index());
        let mut log = Self {
            data: Directory::open(data)?,
            directory,
            segments,
            file,
            begins: end,
            offset: end,
            dirty: end,
            last,
            is_half_full: false,
            begins_new_log: false,
            head,
            spare,
            reserve,
            acknowledged,
            marked,
            is_marked_only: false,
            usage: Arc::default(),
        };
        log.reserve();
        Ok(log)
    }

    /// The log's disk usage, updated as it changes.
    pub(super) fn usage(&self) -> Arc<Usage> {
        Arc::clone(&self.usage)
    }

    /// Appends a batch. It is on disk when this returns.
    pub(super) fn append(&mut self, batch: Batch) -> Result<(), Failure> {
        let discarded = batch.cut_off.len() as u64;
        let cut_off = batch.cut_off;
        let body = Body {
            ballot: batch.ballot,
            cut_after: batch.cut_after,
            discarded,
            committed: batch.committed,
            entries: batch.entries,
        };
        let mut record = encode(self.number(), self.offset, &body);
        let is_for_clients = body.entries.iter().any(|entry| entry.write().is_some());
        let limit = segment::SIZE - if is_for_clients { segment::RESERVED } else { 0 };
        if self.offset + record.len() > limit {
            self.rotate(self.last)?;
            record = encode(self.number(), self.offset, &body);
        }
        let kept = self.keep_aside(&cut_off)?;
        if let Err(error) = self.write(record) {
            kept.take_back();
            return Err(failure(error));
        }
        self.wrote(body);
        self.mark()
    }

    /// Writes a record. It is on disk when this returns.
    fn write(&mut self, mut record: Vec<u8>) -> io::Result<()> {
        let end = self.offset + record.len();
        // Overwrite the leftovers of a failed write, so that they are never found after this
        // record.
        record.resize(record.len().max(self.dirty.saturating_sub(self.offset)), 0);
        self.dirty = self.dirty.max(self.offset + record.len());
        self.file.write(self.offset as u64, &record)?;
        self.file.sync()?;
        // On the disk, but perhaps no longer in the data directory.
        self.file.check_path()?;
        self.offset = end;
        self.dirty = end;
        Ok(())
    }

    /// Updates the bookkeeping after a batch is on disk.
    fn wrote(&mut self, body: Body) {
        if let Some(after) = body.cut_after {
            self.last = self.last.min(after);
        }
        self.last = body.entries.last().map_or(self.last, |entry| entry.index);
        self.head.ballot = body.ballot.unwrap_or_else(|| std::mem::take(&mut self.head.ballot));
        self.head.committed = self.head.committed.max(body.committed);
        self.head.discarded += body.discarded;
        let last = self.last;
        let segment = self.segments.back_mut().expect("a log has at least one segment");
        segment.last_index = segment.last_index.max(last);
        // From half a segment on, the next one is prepared. There may have been no space for it
        // before.
        if self.offset > segment::SIZE / 2 && !self.is_half_full {
            self.is_half_full = true;
            self.reserve();
            self.spare.fill_soon();
        }
    }

    /// Notes what is on disk.
    fn mark(&mut self) -> Result<(), Failure> {
        self.marked.segment = self.number();
        self.marked.end = self.offset as u64;
        self.is_marked_only = true;
        match self.acknowledged.write(&self.marked) {
            // The note is overwritten in place. If that takes space nonetheless, the old note
            // stays: it says less, but is true.
            Err(error) if files::is_full(&error) || files::is_shortage(&error) => Ok(()),
            outcome => outcome.map_err(failure),
        }
    }

    /// Syncs the note, if possible.
    fn sync_acknowledged(&mut self) {
        if self.is_marked_only {
            self.is_marked_only = false;
            if let Err(error) = self.acknowledged.sync() {
                tracing::warn!(%error, "the note of how far the log is on disk could not be synced; nothing is lost");
            }
        }
    }

    /// Removes the segments whose entries are all in the snapshot, which ends at `up_to` and is on
    /// disk.
    pub(super) fn trim(&mut self, up_to: u64) -> Result<(), Failure> {
        self.marked.compacted = self.marked.compacted.max(up_to);
        self.mark()?;
        self.sync_acknowledged();
        while self.segments.len() > 1 && self.segments[0].last_index <= up_to {
            if !self.remove_first()? {
                break;
            }
        }
        self.reserve();
        Ok(())
    }

    /// Begins a segment that starts a new log, and returns its number. The log counts from there
    /// on, once the snapshot says so.
    pub(super) fn begin_new_log(&mut self) -> Result<u64, Failure> {
        if !(self.begins_new_log && self.offset == self.begins) {
            self.rotate(0)?;
            self.begins_new_log = true;
        }
        Ok(self.number())
    }

    /// Keeps aside writes that are about to be truncated. It may use the space held back for a full
    /// disk.
    pub(super) fn keep_aside(&mut self, cut_off: &[Entry]) -> Result<Kept, Failure> {
        loop {
            match aside::keep(&self.data, cut_off).map_err(failure) {
                Err(Failure::Full) if self.give_room()? => {}
                outcome => return outcome,
            }
        }
    }

    /// Completes the start of a new log: the snapshot, which ends at `snapshot`, is on disk and
    /// says that the log begins with the current segment. `discarded` writes were truncated with
    /// the old log. From here on nothing is undone; what finds no space is done later, or at the
    /// next start.
    pub(super) fn finish_new_log(&mut self, snapshot: u64, discarded: u64) -> Result<(), Failure> {
        self.last = snapshot;
        self.segments.iter_mut().for_each(|segment| segment.last_index = 0);
        if discarded > 0 {
            let committed = self.head.committed;
            let body = Body { ballot: None, cut_after: None, discarded, committed, entries: Vec::new() };
            let record = encode(self.number(), self.offset, &body);
            match self.write(record).map_err(failure) {
                Ok(()) => self.wrote(body),
                Err(failure @ Failure::Broken(_)) => return Err(failure),
                Err(error) => {
                    tracing::warn!(%error, discarded, "writes that were cut off could not be counted")
                }
            }
        }
        self.trim(snapshot)
    }

    /// Releases some of the space held back; false if none is held. The space for the next segment
    /// is released last.
    pub(super) fn give_room(&mut self) -> Result<bool, Failure> {
        if self.reserve.is_there() {
            self.reserve.release();
            return Ok(true);
        }
        let gives = self.spare.is_there();
        let released = self.spare.release().map_err(failure);
        self.count();
        released.map(|()| gives)
    }

    /// Holds back space for the next segment, and for a full disk, as far as there is any.
    pub(super) fn reserve(&mut self) {
        let mut reserved = self.spare.reserve();
        if reserved.is_err() && self.reserve.is_there() {
            self.reserve.release();
            reserved = self.spare.reserve();
        }
        match reserved {
            Ok(()) => self.reserve.hold(),
            Err(error) => tracing::debug!(%error, "no room for the next segment of the log"),
        }
        self.count();
    }

    fn count(&self) {
        let files = self.segments.len() + usize::from(self.spare.is_there());
        self.usage.bytes.store((files * segment::SIZE) as u64, Ordering::Relaxed);
        self.usage.is_short.store(!self.spare.is_there(), Ordering::Relaxed);
    }

    /// Removes the oldest segment; false if that has to wait.
    fn remove_first(&mut self) -> Result<bool, Failure> {
        match files::remove(&segment::path(self.directory.path(), self.segments[0].number)) {
            Ok(()) => {
                self.segments.pop_front();
                Ok(true)
            }
            Err(error) => match failure(error) {
                failure @ Failure::Broken(_) => Err(failure),
                _ => Ok(false),
            },
        }
    }

    fn number(&self) -> u64 {
        self.segments.back().expect("a log has at least one segment").number
    }

    /// Begins the next segment, which follows the entry `last_index`.
    fn rotate(&mut self, last_index: u64) -> Result<(), Failure> {
        let number = self.number() + 1;
        let begun = self.begin_next(number, last_index).map_err(failure);
        if begun.is_err() {
            self.count();
        }
        // This closes the previous file, and so frees its descriptor for the next spare file.
        (self.file, self.begins) = begun?;
        (self.offset, self.dirty) = (self.begins, self.begins);
        (self.is_half_full, self.begins_new_log) = (false, false);
        self.segments.push_back(Segment { number, last_index: 0 });
        self.reserve();
        self.mark()?;
        self.sync_acknowledged();
        Ok(())
    }

    fn begin_next(&mut self, number: u64, last_index: u64) -> io::Result<(OpenFile, usize)> {
        let mut file = self.spare.take()?;
        self.head.previous = Some(Previous { end: self.offset as u64, last_index });
        let begins = begin_segment(&self.directory, &mut file, number, &self.head)?;
        Ok((file, begins))
    }

    /// Leaves what a write leaves that runs out of space halfway.
    #[cfg(test)]
    pub(super) fn write_halfway(&mut self, bytes: &[u8]) {
        self.file.write(self.offset as u64, bytes).unwrap();
        self.dirty = self.dirty.max(self.offset + bytes.len());
    }

    /// Does the work that was put off, before closing.
    fn close(&mut self) {
        self.sync_acknowledged();
    }
}

/// Turns a zeroed file into a segment, and returns the offset of its first batch.
fn begin_segment(directory: &Directory, file: &mut OpenFile, number: u64, head: &Head) -> io::Result<usize> {
    let record = encode(number, 0, head);
    file.write(0, &record)?;
    file.sync()?;
    file.rename(segment::path(directory.path(), number))?;
    directory.sync()?;
    Ok(record.len())
}

/// Clears what a crash left after the last record, so that it is never read again.
fn clear(file: &OpenFile, number: u64, torn: Range<usize>) -> io::Result<()> {
    tracing::warn!(
        segment = number,
        byte = torn.start,
        bytes = torn.len(),
        "dropping a batch that a crash cut short; it was never acknowledged"
    );
    file.write(torn.start as u64, &vec![0; torn.len()])?;
    file.sync()
}

/// Classifies an error for the caller of [`Storage`](crate::storage::Storage).
fn failure(error: io::Error) -> Failure {
    match error {
        error if files::is_full(&error) => Failure::Full,
        error if files::is_shortage(&error) => Failure::Short(error.into()),
        error => Failure::Broken(error.into()),
    }
}
