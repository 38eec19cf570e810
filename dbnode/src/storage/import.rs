//! Imports the records a node begins with: a file of JSON lines, `{"key": "…", "value": "…"}`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;

use crate::replication::entry::{Change, Entry, Payload, Write};
use crate::replication::key::Key;
use crate::replication::state::State;

/// One line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    value: String,
}

/// Reads a file into a state, as if its lines had been written one after the other.
pub fn read(path: &Path) -> Result<State, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut state = State::default();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.map_err(|error| format!("line {number}: {error}"))?;
        if line.trim().is_empty() {
            continue;
        }
        let Line { key, value } =
            serde_json::from_str(&line).map_err(|error| format!("line {number}: {error}"))?;
        let key = Key::new(&key).map_err(|error| format!("line {number}: {error}"))?;
        put(&mut state, key, value.into());
    }
    Ok(state)
}

fn put(state: &mut State, key: Key, value: Bytes) {
    let page = state.get(key.as_str()).map_or(state.pages(), |record| record.page);
    let change = Change::Put { value, page };
    let payload = Payload::Write(Write { key, change, request: None });
    state.apply(&Entry { index: state.applied() + 1, term: 0, payload });
}
