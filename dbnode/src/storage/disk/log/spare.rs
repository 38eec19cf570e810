//! The file for the next segment, created ahead of time and held open, so that its space and
//! descriptor are there when needed. When the disk is full, its space also serves as a reserve for
//! what must be written before old segments can be removed.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use super::segment;
use crate::storage::disk::files::{self, OpenFile};

/// The file for the next segment, or the path where it will be.
#[derive(Debug)]
pub(super) struct Spare {
    path: PathBuf,
    /// The file, with its space allocated and arbitrary content; `None` while there is no space for
    /// it.
    file: Option<OpenFile>,
    /// The thread that fills it with zeros.
    filling: Option<JoinHandle<io::Result<()>>>,
}

impl Spare {
    /// The spare file of a log directory, not created yet.
    pub(super) fn new(log_directory: &Path) -> Self {
        Self { path: log_directory.join("spare"), file: None, filling: None }
    }

    /// True if the file exists.
    pub(super) fn is_there(&self) -> bool {
        self.file.is_some()
    }

    /// Allocates the file, unless that is done already. An earlier process may have left one.
    pub(super) fn reserve(&mut self) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        let file = OpenFile::open_or_create(self.path.clone())?;
        if let Err(error) = file.allocate(segment::SIZE as u64) {
            // A partial file takes space that others may need.
            let _ = files::remove(&self.path);
            return Err(error);
        }
        self.file = Some(file);
        Ok(())
    }

    /// Has a thread fill the file. If there is no thread, or it fails, the file is filled when it
    /// is taken.
    pub(super) fn fill_soon(&mut self) {
        if self.file.is_some() && self.filling.is_none() {
            let path = self.path.clone();
            let fill = move || segment::fill(&OpenFile::open(path)?);
            self.filling = thread::Builder::new().name("log-spare".into()).spawn(fill).ok();
        }
    }

    /// Takes the file, filled with zeros, under its current name. If this fails, the file remains,
    /// if it existed.
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

    /// Removes the file, and so releases its space.
    pub(super) fn release(&mut self) -> io::Result<()> {
        self.wait_until_filled();
        match self.file.take() {
            Some(_) => files::remove(&self.path),
            None => Ok(()),
        }
    }

    /// Waits for the thread; true if it has filled the file.
    fn wait_until_filled(&mut self) -> bool {
        self.filling.take().is_some_and(|filling| matches!(filling.join(), Ok(Ok(()))))
    }
}
