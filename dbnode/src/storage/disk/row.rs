//! Rows with checksums, so that a byte that changed on the disk is detected and never served.

use bytes::Bytes;
use crc::{CRC_32_ISCSI, Crc, Digest, Table};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::replication::entry::Request;
use crate::replication::key::Key;
use crate::replication::requests::Named;
use crate::replication::state::Record;
use dbclient::Version;

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// What is wrong with a row.
pub(super) type BadRow = String;

/// The checksum of a row, over all its other columns and their lengths.
pub(super) struct Checksum(Digest<'static, u32, Table<16>>);

impl Checksum {
    pub(super) fn new() -> Self {
        Self(CRC.digest())
    }

    pub(super) fn number(mut self, number: i64) -> Self {
        self.0.update(&number.to_be_bytes());
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    pub(super) fn finish(self) -> i64 {
        self.0.finalize().into()
    }
}

/// The number of rows in a table and the sum of their checksums. It detects a table put together
/// from pages of different ages, even if each row is intact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Sum {
    pub(super) rows: u64,
    checksums: u64,
}

impl Sum {
    /// Adds a row with this checksum.
    pub(super) fn add(&mut self, checksum: i64) {
        self.rows = self.rows.wrapping_add(1);
        self.checksums = self.checksums.wrapping_add(checksum.cast_unsigned());
    }

    /// Subtracts rows whose checksums add up to this.
    pub(super) fn subtract(&mut self, rows: i64, checksums: i64) {
        self.rows = self.rows.wrapping_sub(rows.cast_unsigned());
        self.checksums = self.checksums.wrapping_sub(checksums.cast_unsigned());
    }
}

/// The sums of both tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Sums {
    pub(super) records: Sum,
    pub(super) requests: Sum,
}

pub(super) fn record_checksum(key: &Key, value: &[u8], version: i64, page: i64) -> i64 {
    Checksum::new().bytes(key.as_str().as_bytes()).bytes(value).number(version).number(page).finish()
}

/// Decodes a row of `key, value, version, page, checksum`.
pub(super) fn record_from_row(row: &SqliteRow) -> Result<(Key, Record), BadRow> {
    let key = Key::new(column(row, 0)?).map_err(|error| error.to_string())?;
    let value: &[u8] = column(row, 1)?;
    let (version, page) = (column(row, 2)?, column(row, 3)?);
    compare(row, 4, record_checksum(&key, value, version, page))?;
    let value = Bytes::copy_from_slice(value);
    Ok((key, Record { value, version: Version(unsigned(version)), page: unsigned(page) }))
}

pub(super) fn request_checksum(named: &Named) -> i64 {
    let Named { version, at, request } = named;
    let mut checksum = Checksum::new().number(signed(version.0)).bytes(request.id.as_bytes());
    checksum = checksum.number(request.fingerprint.cast_signed());
    if let Some(sum) = request.sum {
        checksum = checksum.number(sum);
    }
    // Before format 4 there were no times.
    if *at > 0 {
        checksum = checksum.bytes(&at.to_be_bytes());
    }
    checksum.finish()
}

/// Decodes a row of `version, id, fingerprint, sum, checksum, at`.
pub(super) fn request_from_row(row: &SqliteRow) -> Result<Named, BadRow> {
    let version: i64 = column(row, 0)?;
    let id: &str = column(row, 1)?;
    let fingerprint: i64 = column(row, 2)?;
    let at: i64 = column(row, 5)?;
    let request = Request { id: id.into(), fingerprint: fingerprint.cast_unsigned(), sum: column(row, 3)? };
    let named = Named { version: Version(unsigned(version)), at: unsigned(at), request };
    compare(row, 4, request_checksum(&named))?;
    Ok(named)
}

/// The checksum of a row of either table, which was verified before.
pub(super) fn checksum_of(row: &SqliteRow) -> Result<i64, BadRow> {
    column(row, 4)
}

fn column<'r, T>(row: &'r SqliteRow, place: usize) -> Result<T, BadRow>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(place).map_err(|error| error.to_string())
}

fn compare(row: &SqliteRow, place: usize, computed: i64) -> Result<(), BadRow> {
    let said: i64 = column(row, place)?;
    if said == computed { Ok(()) } else { Err("its checksum does not match its content".into()) }
}

/// Converts to SQLite's signed integers. Versions and pages stay far below the limit.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}
