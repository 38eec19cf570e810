//! The file for the next segment, made ahead of its time and held open: its room and its descriptor
//! are there when they are needed. While the disk is full, its room is also the reserve for what must
//! be written before the log can let go of old segments.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use super::segment;
use crate::storage::disk::files::{self, OpenFile};

/// The file for the next segment, or the place where it will be.
#[derive(Debug)]
pub(super) struct Spare {
    path: PathBuf,
    /// It has its room, and may be full of anything; none while there is no room for it.
    file: Option<OpenFile>,
    /// Fills it with zeros.
    filling: Option<JoinHandle<io::Result<()>>>,
}

impl Spare {
    /// The place in a log's directory.
    pub(super) fn new(log_directory: &Path) -> Self {
        Self { path: log_directory.join("spare"), file: None, filling: None }
    }

    /// True when there is one.
    pub(super) fn is_there(&self) -> bool {
        self.file.is_some()
    }

    /// Takes the room for one, unless that is taken already. An earlier process may have left one.
    pub(super) fn reserve(&mut self) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        let file = OpenFile::open_or_create(self.path.clone())?;
        if let Err(error) = file.allocate(segment::SIZE as u64) {
            // What there is of it takes room that others may need.
            let _ = files::remove(&self.path);
            return Err(error);
        }
        self.file = Some(file);
        Ok(())
    }

    /// Has a thread fill it. Without a thread, or when that fails, it is filled when it is taken.
    pub(super) fn fill_soon(&mut self) {
        if self.file.is_some() && self.filling.is_none() {
            let path = self.path.clone();
            let fill = move || segment::fill(&OpenFile::open(path)?);
            self.filling = thread::Builder::new().name("log-spare".into()).spawn(fill).ok();
        }
    }

    /// Takes the file, full of zeros; it has the name that it has. When this fails it is still there,
    /// if it was.
    pub(super) fn take(&mut self) -> io::Result<OpenFile> {
        self.reserve()?;
        let is_filled = self.wait_until_filled();
        let file = self.file.take().expect("it was reserved");
        if !is_filled && let Err(error) = segment::fill(&file) {
            self.file = Some(file);
            return Err(error);
        }
        Ok(file)
    }

    /// Gives its room back.
    pub(super) fn release(&mut self) -> io::Result<()> {
        self.wait_until_filled();
        match self.file.take() {
            Some(_) => files::remove(&self.path),
            None => Ok(()),
        }
    }

    /// True when a thread has filled it.
    fn wait_until_filled(&mut self) -> bool {
        self.filling.take().is_some_and(|filling| matches!(filling.join(), Ok(Ok(()))))
    }
}
