//! Turns a client's write into a log entry, or rejects it.

#![deny(clippy::disallowed_methods)]

use bytes::Bytes;
use crc::{CRC_64_XZ, Crc};

use super::effect::{RejectReason, Written};
use super::entry::{self, Change, Payload, Request};
use super::input::{Action, Write};
use super::state::State;
use super::upcoming::{Naming, Upcoming};
use dbclient::Condition;
use dbclient::Version;

/// The outcome of a write request.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// The write is appended to the log.
    AppendEntries {
        /// The content of the log entry.
        payload: Payload,
        /// The new value of the record, if the write was an addition.
        sum: Option<i64>,
    },
    /// A retry of a write that is in the log already.
    Repeated(Written),
    /// The write is rejected.
    Refuse(RejectReason),
}

/// Decides on a write against the state that will hold when the write is applied.
pub fn decide(write: Write, state: &State, upcoming: &Upcoming, naming: &Naming) -> Decision {
    let fingerprint = write.request.as_ref().map_or(0, |_| fingerprint(&write));
    if let Some(id) = &write.request
        && let Some(earlier) = upcoming.request(state, id)
    {
        return match earlier.fingerprint == fingerprint {
            true => Decision::Repeated(earlier.written),
            false => Decision::Refuse(RejectReason::RequestIdReused),
        };
    }
    let record = upcoming.record(state, write.key.as_str());
    if !holds(write.condition, record.map(|record| record.version)) {
        return Decision::Refuse(RejectReason::Conflict);
    }
    let page = record.map_or_else(|| upcoming.next_page(state), |record| record.page);
    let (change, sum) = match write.action {
        Action::Put(value) => (Change::Put { value, page }, None),
        Action::Delete => (Change::Delete, None),
        Action::Add(by) => match add(record.map(|record| record.value), by) {
            Ok(sum) => (Change::Put { value: sum.to_string().into(), page }, Some(sum)),
            Err(refusal) => return Decision::Refuse(refusal),
        },
    };
    let request = write.request.map(|id| Request { id, fingerprint, sum });
    let is_named = request.is_some();
    let write = entry::Write { key: write.key, change, request };
    let payload = match is_named.then(|| upcoming.stamp(state, naming)) {
        None => Payload::Write(write),
        Some(Some(stamp)) => Payload::Named(write, stamp),
        Some(None) => return Decision::Refuse(RejectReason::TooManyNames),
    };
    Decision::AppendEntries { payload, sum }
}

fn holds(condition: Condition, version: Option<Version>) -> bool {
    match condition {
        Condition::Always => true,
        Condition::IfVersion(wanted) => version == Some(wanted),
        Condition::IfAbsent => version.is_none(),
    }
}

fn add(value: Option<&Bytes>, by: i64) -> Result<i64, RejectReason> {
    let Some(value) = value else { return Ok(by) };
    let text = std::str::from_utf8(value).map_err(|_| RejectReason::NotANumber)?;
    let number: i64 = text.parse().map_err(|_| RejectReason::NotANumber)?;
    number.checked_add(by).ok_or(RejectReason::Overflow)
}

/// Hashes what a client asked for. The hash is kept on disk, so the algorithm must never change.
fn fingerprint(write: &Write) -> u64 {
    const CRC: Crc<u64> = Crc::<u64>::new(&CRC_64_XZ);
    let mut digest = CRC.digest();
    digest.update(write.key.as_str().as_bytes());
    match &write.action {
        Action::Put(value) => {
            digest.update(b"\0put\0");
            digest.update(value);
        }
        Action::Delete => digest.update(b"\0delete\0"),
        Action::Add(by) => {
            digest.update(b"\0add\0");
            digest.update(&by.to_be_bytes());
        }
    }
    digest.finalize()
}
