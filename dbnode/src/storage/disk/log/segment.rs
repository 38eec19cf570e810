//! One file of the log. It has its full size, filled with zeros, before it gets its name. Writes
//! then change only bytes, and reach the disk with one short fsync that bypasses the file system's
//! journal. A file that is shorter was damaged.

use std::io;
use std::path::{Path, PathBuf};

use crate::storage::disk::files::OpenFile;

/// The size of a segment, in bytes; smaller in unit tests, which create and read hundreds of them.
pub(super) const SIZE: usize = if cfg!(test) { 1 << 20 } else { 8 << 20 };

/// Maximum size of a batch, in bytes: a batch holds 2 MiB of entries, or one larger entry.
pub(super) const BATCH_MAX: usize = SIZE / 2;

/// The end of a segment, in bytes, reserved for batches without a client's write. It lets a node
/// become the primary and answer reads while there is no space for another segment.
pub(super) const RESERVED: usize = 16 << 10;

/// The path of a segment.
pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:020}.log"))
}

/// The number of the segment at this path.
pub(super) fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
    (name.len() == 20).then(|| name.parse().ok()).flatten()
}

/// Extends a file to the size of a segment, filled with zeros. They are on disk when this returns.
pub(super) fn fill(file: &OpenFile) -> io::Result<()> {
    let zeros = vec![0; SIZE / 8];
    for part in 0..SIZE / zeros.len() {
        file.write((part * zeros.len()) as u64, &zeros)?;
    }
    file.resize(SIZE as u64)?;
    file.sync()
}
