//! The file format of a history: a first line with the format's version and the initial values, then one JSON
//! object per operation. Nothing is rounded and nothing is left out.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::operation::Operation;

/// The version of the format that is written; no other is read.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    history: u32,
    /// The unit of all times: always `ns`.
    unit: String,
    initial: BTreeMap<String, String>,
}

/// Writes a history as it happens. Pass a buffered writer, and flush or sync it at the end.
#[derive(Debug)]
pub struct Journal<W> {
    writer: W,
}

/// The reason why a file is not a history.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read.
    #[error("the history cannot be read")]
    Io(#[from] io::Error),
    /// It is empty.
    #[error("the file is empty; a history begins with a line that says its version")]
    Empty,
    /// It was written by another version of this program.
    #[error("the history has format {found} in {unit}; this program reads format {VERSION} in ns")]
    Version {
        /// Its version.
        found: u32,
        /// Its unit of time.
        unit: String,
    },
    /// A line cannot be parsed.
    #[error("line {line} of the history cannot be parsed; was it cut off while it was written?")]
    Line {
        /// Its number, counted from 1.
        line: usize,
        /// The error.
        source: serde_json::Error,
    },
}

impl<W: Write> Journal<W> {
    /// Starts a file with its header.
    pub fn begin(mut writer: W, initial: &BTreeMap<String, String>) -> io::Result<Self> {
        let header = Header { history: VERSION, unit: "ns".into(), initial: initial.clone() };
        write_line(&mut writer, &header)?;
        Ok(Self { writer })
    }

    /// Writes one more operation.
    pub fn write(&mut self, operation: &Operation) -> io::Result<()> {
        write_line(&mut self.writer, operation)
    }

    /// Flushes and returns the writer. If it is a file, sync it.
    pub fn finish(mut self) -> io::Result<W> {
        self.writer.flush()?;
        Ok(self.writer)
    }
}

fn write_line(writer: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, line)?;
    writer.write_all(b"\n")
}

/// Reads what a [`Journal`] wrote.
pub fn read(reader: impl BufRead) -> Result<History, JournalError> {
    let mut lines = reader.lines();
    let first = lines.next().ok_or(JournalError::Empty)??;
    let header: Header =
        serde_json::from_str(&first).map_err(|source| JournalError::Line { line: 1, source })?;
    if header.history != VERSION || header.unit != "ns" {
        return Err(JournalError::Version { found: header.history, unit: header.unit });
    }
    let mut operations = Vec::new();
    for (place, line) in lines.enumerate() {
        let operation =
            serde_json::from_str(&line?).map_err(|source| JournalError::Line { line: place + 2, source })?;
        operations.push(operation);
    }
    Ok(History { initial: header.initial, operations })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{any_history, seen};

    proptest! {
        #[test]
        fn what_is_written_is_read(history in any_history()) {
            let mut journal = Journal::begin(Vec::new(), &history.initial).unwrap();
            for operation in &history.operations {
                journal.write(operation).unwrap();
            }
            let file = journal.finish().unwrap();
            prop_assert_eq!(file.iter().filter(|byte| **byte == b'\n').count(), history.operations.len() + 1);
            prop_assert_eq!(read(&*file).unwrap(), history);
        }
    }

    #[test]
    fn a_line_is_readable() {
        let mut journal = Journal::begin(Vec::new(), &BTreeMap::new()).unwrap();
        journal.write(&seen("alice", "account-1", 5, 9, "150")).unwrap();
        let text = String::from_utf8(journal.finish().unwrap()).unwrap();
        assert_eq!(
            text,
            "{\"history\":1,\"unit\":\"ns\",\"initial\":{}}\n\
             {\"session\":\"alice\",\"key\":\"account-1\",\"do\":\"get\",\"read\":\"latest\",\
             \"invoked_at\":5,\"returned_at\":9,\"outcome\":{\"ok\":{\"found\":{\"value\":\"150\"}}}}\n"
        );
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused_with_the_line() {
        let mut file = b"{\"history\":1,\"unit\":\"ns\",\"initial\":{}}\n".to_vec();
        assert!(read(&*file).unwrap().operations.is_empty());
        file.extend(b"{\"session\":\"al");
        assert!(matches!(read(&*file), Err(JournalError::Line { line: 2, .. })));
    }

    #[test]
    fn another_version_is_refused() {
        assert!(matches!(read(&b""[..]), Err(JournalError::Empty)));
        let file = b"{\"history\":2,\"unit\":\"ns\",\"initial\":{}}\n";
        assert!(matches!(read(&file[..]), Err(JournalError::Version { found: 2, .. })));
    }
}
