//! Serializes many records as one JSON document, piece by piece, so that a client that asks for
//! megabytes does not delay all others.

#![deny(clippy::disallowed_methods)]

use std::vec;

use bytes::Bytes;

use crate::replication::key::Key;
use crate::replication::state::Record;

/// Maximum size of a document, in bytes; it ends after the record that exceeds it.
pub(super) const BYTES_MAX: usize = 4 << 20;

/// Size of a piece, in bytes; it ends after the part that exceeds it.
const PIECE_BYTES: usize = 16 << 10;

/// Bytes of a value that are written at a time. As JSON text each may become six.
const PART_BYTES: usize = 4 << 10;

/// The part of the document that has not been written yet.
#[derive(Debug)]
pub(super) struct Listing {
    records: vec::IntoIter<(Key, Record)>,
    /// True if there are more records than these.
    more: bool,
    value: Option<Value>,
    written: usize,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Records,
    Done,
}

/// A value that is being written.
#[derive(Debug)]
struct Value {
    bytes: Bytes,
    /// How much of it has been written.
    at: usize,
    is_text: bool,
}

impl Listing {
    /// A document of these records. `more` is true if there are others after them.
    pub(super) fn new(records: Vec<(Key, Record)>, more: bool) -> Self {
        Self { records: records.into_iter(), more, value: None, written: 0, stage: Stage::Begin }
    }

    /// True once the whole document has been written.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// The next piece; `None` after the last one.
    pub(super) fn next_piece(&mut self) -> Option<Bytes> {
        if self.is_done() {
            return None;
        }
        let mut out = Vec::with_capacity(1 << 10);
        while out.len() < PIECE_BYTES && !self.is_done() {
            self.write_part(&mut out);
        }
        self.written += out.len();
        Some(out.into())
    }

    fn write_part(&mut self, out: &mut Vec<u8>) {
        if let Some(value) = &mut self.value {
            value.write_part(out);
            if value.at == value.bytes.len() {
                out.extend_from_slice(b"\"}");
                self.value = None;
            }
            return;
        }
        let begins = self.stage == Stage::Begin;
        if begins {
            out.extend_from_slice(b"{\"records\":[");
            self.stage = Stage::Records;
        }
        let is_full = self.written + out.len() >= BYTES_MAX;
        match self.records.next() {
            Some((key, record)) if !is_full => {
                let comma = if begins { "" } else { "," };
                self.value = Some(begin_record(comma, &key, record, out));
            }
            next => {
                let more = self.more || next.is_some();
                out.extend_from_slice(format!("],\"more\":{more}}}\n").as_bytes());
                self.stage = Stage::Done;
                self.records = Vec::new().into_iter();
            }
        }
    }
}

/// Writes everything of a record that precedes its value. UTF-8 is written as text, other values in
/// hex.
fn begin_record(comma: &str, key: &Key, record: Record, out: &mut Vec<u8>) -> Value {
    let is_text = std::str::from_utf8(&record.value).is_ok();
    out.extend_from_slice(comma.as_bytes());
    out.extend_from_slice(b"{\"key\":");
    write_json(key.as_str(), out);
    out.extend_from_slice(b",\"version\":");
    serde_json::to_writer(&mut *out, &record.version).expect("a version is text");
    out.extend_from_slice(if is_text { b",\"value\":\"" } else { b",\"value_hex\":\"" });
    Value { bytes: record.value, at: 0, is_text }
}

impl Value {
    fn write_part(&mut self, out: &mut Vec<u8>) {
        let mut end = (self.at + PART_BYTES).min(self.bytes.len());
        if !self.is_text {
            let begin = out.len();
            out.resize(begin + 2 * (end - self.at), 0);
            hex::encode_to_slice(&self.bytes[self.at..end], &mut out[begin..]).expect("two digits for each");
        } else {
            let rest = std::str::from_utf8(&self.bytes[self.at..end]);
            // Stops before an incomplete character.
            end = rest.map_or_else(|error| self.at + error.valid_up_to(), |_| end);
            let text = std::str::from_utf8(&self.bytes[self.at..end]).expect("it was looked at");
            let begin = out.len();
            write_json(text, out);
            // Removes the quotes, which enclose the whole value.
            out.pop();
            out.remove(begin);
        }
        self.at = end;
    }
}

fn write_json(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("text always serializes");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use dbclient::Version;

    fn record(key: &str, value: impl Into<Bytes>) -> (Key, Record) {
        (Key::new(key).unwrap(), Record { value: value.into(), version: Version::of(1, 2), page: 0 })
    }

    fn pieces(records: Vec<(Key, Record)>, more: bool) -> Vec<Bytes> {
        let mut listing = Listing::new(records, more);
        std::iter::from_fn(|| listing.next_piece()).collect()
    }

    fn document(records: Vec<(Key, Record)>, more: bool) -> Json {
        serde_json::from_slice(&pieces(records, more).concat()).unwrap()
    }

    #[test]
    fn text_is_text_and_other_bytes_are_digits() {
        let records = vec![record("a\"b", "x\n\"ü"), record("c", &b"\xff\x00"[..]), record("d", "")];
        let expected = json!({ "records": [
            { "key": "a\"b", "version": "1.2", "value": "x\n\"ü" },
            { "key": "c", "version": "1.2", "value_hex": "ff00" },
            { "key": "d", "version": "1.2", "value": "" },
        ], "more": true });
        assert_eq!(document(records, true), expected);
        assert_eq!(document(Vec::new(), false), json!({ "records": [], "more": false }));
    }

    #[test]
    fn no_piece_is_much_longer_than_another() {
        let values = [vec![0xff; 1 << 20], vec![1; 1 << 20], "ü".repeat(1 << 19).into_bytes()];
        for value in values {
            let pieces = pieces(vec![record("a", value)], false);
            assert!(
                pieces.len() > 10 && pieces.iter().all(|piece| piece.len() <= PIECE_BYTES + 6 * PART_BYTES)
            );
        }
    }

    #[test]
    fn a_document_has_an_end_however_its_values_are_written() {
        for byte in [0xff, 1, b'x'] {
            let records = (0..8).map(|number| record(&number.to_string(), vec![byte; 1 << 20])).collect();
            let (length, document) = {
                let text = pieces(records, false).concat();
                (text.len(), serde_json::from_slice::<Json>(&text).unwrap())
            };
            assert!(length < BYTES_MAX + (6 << 20) + 1_000, "{byte}: {length}");
            let listed = document["records"].as_array().unwrap().len();
            assert!((1..8).contains(&listed) && document["more"] == true, "{byte}: {listed}");
        }
    }

    proptest! {
        #[test]
        fn a_value_is_what_it_was(text in ".{0,40}", times in 1_usize..2_000) {
            let value = text.repeat(times);
            let document = document(vec![record("a", value.clone())], false);
            prop_assert_eq!(document["records"][0]["value"].as_str(), Some(&*value));
        }
    }
}
