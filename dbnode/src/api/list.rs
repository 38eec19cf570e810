//! Requests that list records.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use machine::serving::Connection;
use tokio::time::timeout;

use super::answer_body::{AnswerBody, ListBody};
use super::listing::{BYTES_MAX, Listing};
use super::problem::Problem;
use super::query::{OF_RECORDS, Query};
use super::{Answer, Api};
use crate::config::Reads;
use crate::replication::key::Key;
use crate::replication::showing::View;
use crate::replication::state::Record;

/// Lists up to this size, in bytes of records, need no share of the memory for lists.
const SMALL_BYTES_MAX: usize = 256 << 10;

/// The listed size of a record besides its key and value, in bytes.
const RECORD_BYTES: usize = 64;

/// How long a list waits for its share.
const PATIENCE: Duration = Duration::from_secs(10);

/// Records from one consistent view.
struct Found {
    records: Vec<(Key, Record)>,
    /// True if there are more records after them.
    more: bool,
    /// Their approximate size in a list, in bytes.
    bytes: usize,
}

impl Api {
    /// `GET /kv?prefix=&limit=`
    pub(super) async fn list(
        &self,
        query: Option<&str>,
        connection: Option<Arc<Connection>>,
    ) -> Result<Answer, Problem> {
        let query = Query::parse(query, OF_RECORDS)?;
        self.machine.cpu(self.config.query_cost).await;
        let mut found = self.look(query.read, |view| find(view, &query)).await?;
        let mut share = None;
        if found.bytes > SMALL_BYTES_MAX {
            drop(found);
            let taken = timeout(PATIENCE, self.lists.take(1)).await;
            share = Some(taken.map_err(|_| Problem::overloaded("too many long lists are being sent"))?);
            // A view taken now is newer still.
            found = self.node.read_local(|view| find(view, &query));
        }
        for (_, record) in &found.records {
            self.metrics.reads.inc();
            if self.config.reads == Reads::ThroughPages {
                self.machine.page(record.page).await;
            }
        }
        let mut listing = Listing::new(found.records, found.more);
        let first = listing.next_piece().expect("a list has a beginning");
        let body = match share {
            Some(share) if !listing.is_done() => {
                let (turn, steps) = (Arc::clone(&self.list_turn), self.metrics.steps.clone());
                AnswerBody::List(Box::new(ListBody::new(first, listing, share, connection, turn, steps)))
            }
            _ => whole(first, listing),
        };
        let mut answer = Response::new(body);
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.say_lag(query.read, &mut answer);
        Ok(answer)
    }
}

/// Finds the records in one consistent view. Values are shared, not copied, so this takes little
/// time.
fn find(view: View<'_>, query: &Query) -> Found {
    let mut records = view.scan(&query.prefix, &query.after);
    let mut found = Found { records: Vec::new(), more: false, bytes: 0 };
    while found.records.len() < query.limit && found.bytes < BYTES_MAX {
        let Some((key, record)) = records.next() else { return found };
        found.bytes += key.as_str().len() + record.value.len() + RECORD_BYTES;
        found.records.push((key.clone(), record));
    }
    found.more = records.next().is_some();
    found
}

fn whole(first: Bytes, mut listing: Listing) -> AnswerBody {
    if listing.is_done() {
        return AnswerBody::Whole(first.into());
    }
    let rest = std::iter::from_fn(|| listing.next_piece());
    AnswerBody::Whole(std::iter::once(first).chain(rest).collect::<Vec<_>>().concat().into())
}
