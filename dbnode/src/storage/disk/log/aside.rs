//! Truncated writes, kept aside for inspection by people: one line of JSON for each write, in
//! `discarded.jsonl`. Nodes never read it again, except to count its lines.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::IgnoredAny;

use crate::replication::entry::{Change, Entry};
use crate::storage::disk::files::{Directory, OpenFile};

#[derive(Serialize)]
struct Line<'a> {
    index: u64,
    term: u64,
    key: &'a str,
    /// `None` if the record was deleted.
    value: Option<std::borrow::Cow<'a, str>>,
    request: Option<&'a str>,
}

/// An addition to the file that can be undone.
#[derive(Debug)]
pub(in super::super) struct Kept(Option<(OpenFile, u64)>);

impl Kept {
    /// Undoes the addition.
    pub(in super::super) fn take_back(self) {
        if let Some((file, length)) = self.0 {
            // If this fails, the writes appear twice, and nothing is missing.
            let _ = file.resize(length);
        }
    }
}

/// The path of the file.
pub(super) fn path(data: &Path) -> PathBuf {
    data.join("discarded.jsonl")
}

/// Appends entries to the file. They are on disk when this returns; if it fails, nothing was added.
pub(super) fn keep(data: &Directory, cut_off: &[Entry]) -> io::Result<Kept> {
    let text = lines(cut_off)?;
    if text.is_empty() {
        return Ok(Kept(None));
    }
    let path = path(data.path());
    let is_new = !path.exists();
    let file = OpenFile::open_or_create(path)?;
    let length = file.len()?;
    let written = file.write(length, &text).and_then(|()| file.sync());
    let kept = Kept(Some((file, length)));
    if let Err(error) = written {
        kept.take_back();
        return Err(error);
    }
    if is_new {
        data.sync()?;
    }
    Ok(kept)
}

fn lines(cut_off: &[Entry]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for entry in cut_off {
        let Some(write) = entry.write() else { continue };
        let value = match &write.change {
            Change::Put { value, .. } => Some(String::from_utf8_lossy(value)),
            Change::Delete => None,
        };
        let request = write.request.as_ref().map(|request| &*request.id);
        let line = Line { index: entry.index, term: entry.term, key: write.key.as_str(), value, request };
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// The number of readable writes in the file; 0 if there is no file.
pub(super) fn count(data: &Path) -> io::Result<u64> {
    let text = match fs::read(path(data)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let is_line = |line: &&[u8]| serde_json::from_slice::<IgnoredAny>(line).is_ok();
    Ok(text.split(|byte| *byte == b'\n').filter(is_line).count() as u64)
}
