//! One file of the log. It gets its full size, filled with zeros, before it is used: a write that
//! changes nothing but bytes is on disk after one short fsync, without the file system's journal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The size of a segment, in bytes. Every batch is smaller.
pub(super) const SIZE: usize = 8 << 20;

/// What it is called.
pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}.log"))
}

/// The number of the segment that is called so.
pub(super) fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
    (name.len() == 20).then(|| name.parse().ok()).flatten()
}

/// Makes a file full of zeros. It is not on disk yet. Without room for all of it there is none.
pub(super) fn make(path: &Path) -> io::Result<File> {
    let made = fill(path);
    if made.is_err() {
        // What there is of it takes room that others may need.
        let _ = fs::remove_file(path);
    }
    made
}

fn fill(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path)?;
    let zeros = vec![0; 1 << 20];
    for _ in 0..SIZE / zeros.len() {
        file.write_all(&zeros)?;
    }
    Ok(file)
}

/// Writes at an offset; on disk when it returns.
pub(super) fn write(file: &File, offset: usize, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, offset as u64)?;
    file.sync_data()
}

/// Writes zeros from an offset to the end: what a crash left there is not to be met again.
pub(super) fn clear_from(file: &File, offset: usize) -> io::Result<()> {
    file.write_all_at(&vec![0; SIZE - offset], offset as u64)?;
    file.sync_data()
}

/// Names in a directory are on disk when it returns.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
