//! Requests about many records.

use http::StatusCode;
use serde::Serialize;

use super::problem::Problem;
use super::query::{OF_RECORDS, Query};
use super::{Answer, Api, json};
use crate::config::Reads;
use crate::replication::key::Key;
use crate::replication::showing::View;
use crate::replication::state::Record;
use crate::version::Version;

/// Bytes of values in one answer; it ends after the record that exceeds them.
const BYTES_MAX: usize = 4 << 20;

#[derive(Serialize)]
struct Records {
    records: Vec<Listed>,
    /// There are more; ask again with `after` the last key.
    more: bool,
}

#[derive(Serialize)]
struct Listed {
    key: String,
    version: Version,
    /// The value, when it is text…
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// …and otherwise its bytes, two digits each.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_hex: Option<String>,
}

impl Api {
    /// `GET /kv?prefix=&limit=`
    pub(super) async fn list(&self, query: Option<&str>) -> Result<Answer, Problem> {
        let query = Query::parse(query, OF_RECORDS)?;
        self.machine.cpu(self.config.query_cost).await;
        let (found, more) = self.look(query.read, |view| find(view, &query)).await?;
        for (_, record) in &found {
            self.metrics.reads.inc();
            if self.config.reads == Reads::ThroughPages {
                self.machine.page(record.page).await;
            }
        }
        let records = found.into_iter().map(|(key, record)| Listed::new(&key, &record)).collect();
        let mut answer = json(StatusCode::OK, &Records { records, more });
        self.say_lag(query.read, &mut answer);
        Ok(answer)
    }
}

/// All at one moment: values are shared, not copied, so this takes little time.
fn find(view: View<'_>, query: &Query) -> (Vec<(Key, Record)>, bool) {
    let mut records = view.scan(&query.prefix, &query.after);
    let mut found = Vec::new();
    let mut bytes = 0;
    while found.len() < query.limit && bytes < BYTES_MAX {
        let Some((key, record)) = records.next() else { return (found, false) };
        bytes += record.value.len();
        found.push((key.clone(), record));
    }
    (found, records.next().is_some())
}

impl Listed {
    fn new(key: &Key, record: &Record) -> Self {
        let text = std::str::from_utf8(&record.value).ok();
        let hex = || record.value.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            key: key.to_string(),
            version: record.version,
            value: text.map(str::to_owned),
            value_hex: if text.is_none() { Some(hex()) } else { None },
        }
    }
}
