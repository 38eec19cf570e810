//! A small file that holds one value. It is overwritten in place, so that it needs no space, and in
//! two slots in turn, so that a crash in the middle of a write leaves the previous value.
//!
//! ```text
//! slot: 4096 bytes   length: u32   checksum: u32   sequence: u64   value   0 0 0 …
//! slot: 4096 bytes   the same, one older or one newer
//! ```

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use crc::{CRC_32_ISCSI, Crc, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::OpenError;
use super::files::{Directory, OpenFile};

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// The size of a slot, in bytes. The part in use fits into one sector of any disk.
const SLOT: usize = 4_096;
const SIZE: usize = 2 * SLOT;
const HEAD: usize = 8;
const SEQUENCE: usize = 8;

/// A file that holds one value.
#[derive(Debug)]
pub(super) struct Slots<T> {
    file: OpenFile,
    sequence: u64,
    value: PhantomData<T>,
}

/// What the file held when it was opened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held<T> {
    /// The newest readable value.
    pub(super) value: T,
    /// False if a slot is unreadable: it may have held a newer value.
    pub(super) is_newest: bool,
}

impl<T: Serialize + DeserializeOwned> Slots<T> {
    /// Creates the file. It is on disk, under its name, when this returns.
    pub(super) fn create(path: &Path, value: &T) -> io::Result<Self> {
        let mut file = OpenFile::open_or_create(path.with_extension("new"))?;
        file.resize(0)?;
        file.write(0, &[padded(0, value), padded(1, value)].concat())?;
        file.sync()?;
        file.rename(path.to_owned())?;
        let directory = path.parent().expect("a file is in a directory");
        Directory::open(directory.to_owned())?.sync()?;
        Ok(Self { file, sequence: 1, value: PhantomData })
    }

    /// Opens and reads the file; `None` if it does not exist.
    pub(super) fn open(path: &Path) -> Result<Option<(Self, Held<T>)>, OpenError> {
        let failed = |source| OpenError::Directory { path: path.to_owned(), source };
        let file = match OpenFile::open(path.to_owned()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let bytes = fs::read(path).map_err(failed)?;
        let (sequence, held) = read(&bytes).map_err(|what| damaged(path, what))?;
        Ok(Some((Self { file, sequence, value: PhantomData }, held)))
    }

    /// Writes a value. It survives the end of the process once this returns, and a power failure
    /// once it is synced.
    pub(super) fn write(&mut self, value: &T) -> io::Result<()> {
        let sequence = self.sequence + 1;
        self.file.write(offset(sequence), &encode(sequence, value))?;
        self.sequence = sequence;
        Ok(())
    }

    /// Syncs the file: what was written is on disk when this returns.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

fn damaged(path: &Path, what: String) -> OpenError {
    OpenError::Damaged { path: PathBuf::from(path), what }
}

fn offset(sequence: u64) -> u64 {
    sequence % 2 * SLOT as u64
}

fn encode<T: Serialize>(sequence: u64, value: &T) -> Vec<u8> {
    let mut slot = vec![0; HEAD];
    slot.extend(sequence.to_le_bytes());
    let mut slot = postcard::to_extend(value, slot).expect("plain data always serializes");
    let length = u32::try_from(slot.len() - HEAD).expect("a small value");
    let checksum = CRC.checksum(&slot[HEAD..]);
    slot[..4].copy_from_slice(&length.to_le_bytes());
    slot[4..HEAD].copy_from_slice(&checksum.to_le_bytes());
    slot
}

fn padded<T: Serialize>(sequence: u64, value: &T) -> Vec<u8> {
    let mut slot = encode(sequence, value);
    slot.resize(SLOT, 0);
    slot
}

/// The newest value in a file, and its sequence number.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<(u64, Held<T>), String> {
    if bytes.len() != SIZE {
        return Err(format!("it is {} bytes long, and was made with {SIZE}", bytes.len()));
    }
    let slots: Vec<_> = bytes.chunks_exact(SLOT).filter_map(decode).collect();
    let is_newest = slots.len() == 2;
    let (sequence, value) = slots
        .into_iter()
        .max_by_key(|(sequence, _)| *sequence)
        .ok_or("neither of its two slots is as it was written")?;
    Ok((sequence, Held { value, is_newest }))
}

fn decode<T: DeserializeOwned>(slot: &[u8]) -> Option<(u64, T)> {
    let [length, checksum] =
        [0, 4].map(|at| u32::from_le_bytes([slot[at], slot[at + 1], slot[at + 2], slot[at + 3]]));
    let body = slot.get(HEAD..HEAD.checked_add(length as usize)?)?;
    if CRC.checksum(body) != checksum {
        return None;
    }
    let (sequence, value) = body.split_at_checked(SEQUENCE)?;
    let sequence = u64::from_le_bytes(sequence.try_into().ok()?);
    Some((sequence, postcard::from_bytes(value).ok()?))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn value(path: &Path) -> (u64, bool) {
        let (_, held) = Slots::<u64>::open(path).unwrap().unwrap();
        (held.value, held.is_newest)
    }

    #[test]
    fn the_newest_value_is_read_and_the_one_before_after_a_torn_write() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("number");
        assert!(Slots::<u64>::open(&path).unwrap().is_none());
        let mut slots = Slots::create(&path, &7_u64).unwrap();
        assert_eq!(value(&path), (7, true));
        slots.write(&8).unwrap();
        assert_eq!(value(&path), (8, true));
        let before = fs::read(&path).unwrap();
        slots.write(&9).unwrap();
        let after = fs::read(&path).unwrap();
        assert_eq!(value(&path), (9, true));
        for torn in (0..SIZE).filter(|at| before[*at] != after[*at]) {
            let mut bytes = before.clone();
            bytes[..torn].copy_from_slice(&after[..torn]);
            fs::write(&path, bytes).unwrap();
            assert!([(8, true), (8, false), (9, true)].contains(&value(&path)), "torn at byte {torn}");
        }
    }

    #[test]
    fn a_file_of_another_size_or_without_a_whole_slot_is_damaged() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("number");
        drop(Slots::create(&path, &7_u64).unwrap());
        let whole = fs::read(&path).unwrap();
        for bytes in [&whole[..SLOT], &vec![0; SIZE], &[]] {
            fs::write(&path, bytes).unwrap();
            let refusal = Slots::<u64>::open(&path).map(drop).unwrap_err();
            assert!(matches!(refusal, OpenError::Damaged { .. }), "{refusal}");
        }
    }
}
