//! What was cut off the log, kept aside for people to look at: a line of JSON for each write, in
//! `discarded.jsonl`. Nothing reads it again.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::segment;
use crate::replication::entry::{Change, Entry};

#[derive(Serialize)]
struct Line<'a> {
    index: u64,
    term: u64,
    key: &'a str,
    /// None when the record was deleted.
    value: Option<std::borrow::Cow<'a, str>>,
    request: Option<&'a str>,
}

/// Keeps entries aside. They are on disk when this returns.
pub(super) fn keep(log_directory: &Path, cut_off: &[Entry]) -> io::Result<()> {
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
    if text.is_empty() {
        return Ok(());
    }
    let path = log_directory.with_file_name("discarded.jsonl");
    let is_new = !path.exists();
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    file.write_all(&text)?;
    file.sync_data()?;
    match path.parent() {
        Some(directory) if is_new => segment::sync_directory(directory),
        _ => Ok(()),
    }
}
