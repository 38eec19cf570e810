//! The history of a stream's operations on the database's records, for the consistency checkers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, LineWriter};
use std::path::Path;
use std::sync::Arc;

use history::journal::Journal;
use history::{Action, Answer, At, Operation, Outcome as Said, Read};
use parking_lot::Mutex;

use super::{Moment, Outcome};

/// The operations of several streams, from the moment they are sent. Cheap to clone; all clones share one
/// log.
#[derive(Debug, Clone, Default)]
pub struct HistoryLog(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    /// The operations that have ended, in that order.
    ended: Vec<Operation>,
    /// The operations that were sent and have not ended, by number. Their outcome is unknown.
    pending: BTreeMap<u64, Operation>,
    /// The number of operations sent so far.
    sent: u64,
    /// The file to which each operation is written as it ends.
    journal: Option<Journal<LineWriter<File>>>,
}

/// The meaning of each request of a stream, as an operation on the record of its key.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The log in which it is recorded.
    pub log: HistoryLog,
    /// The operation. A put's value is the request's running number.
    pub action: RecordedAction,
    /// The division into sessions.
    pub sessions: Sessions,
}

/// The rule for which requests belong to one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sessions {
    /// Each request is a session of its own, because nobody waits for an answer before the next one.
    EachRequest,
    /// Each key is a session: a record has an owner, who expects to see their own earlier writes.
    EachKey,
}

/// The operation of a request on a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordedAction {
    /// Adds an amount.
    Add {
        /// The amount to add.
        by: i64,
    },
    /// Writes the request's running number.
    Put,
    /// Reads the state of one node.
    GetLocal,
    /// Reads the latest write.
    GetLatest,
}

/// The log entry of one request, before it is sent.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) log: HistoryLog,
    pub(super) session: String,
    pub(super) key: String,
    pub(super) action: Action,
    pub(super) request: Option<String>,
}

/// An operation that was sent and is in the log.
#[derive(Debug)]
pub(super) struct Pending {
    log: HistoryLog,
    number: u64,
}

/// The part of an answer that matters to a history.
#[derive(Debug)]
pub(super) struct ResponseSummary<'a> {
    pub(super) outcome: Outcome,
    pub(super) status: u16,
    pub(super) node: Option<String>,
    /// The `ETag`, which contains the record's version.
    pub(super) etag: Option<&'a str>,
    pub(super) body: &'a [u8],
}

impl HistoryLog {
    /// Creates a log that is also written to a file, as it happens.
    pub fn written_to(path: &Path) -> io::Result<Self> {
        let file = LineWriter::new(File::create(path)?);
        let journal = Some(Journal::begin(file, &BTreeMap::new())?);
        Ok(Self(Arc::new(Mutex::new(Pages { journal, ..Pages::default() }))))
    }

    /// Creates a log of operations that have already ended.
    pub fn of(ended: Vec<Operation>) -> Self {
        Self(Arc::new(Mutex::new(Pages { ended, ..Pages::default() })))
    }

    /// All operations so far. One that was sent and has not ended has an unknown outcome.
    pub fn operations(&self) -> Vec<Operation> {
        let pages = self.0.lock();
        pages.ended.iter().chain(pages.pending.values()).cloned().collect()
    }

    /// Two numbers that change whenever an operation is sent or ends.
    pub fn revision(&self) -> (u64, usize) {
        let pages = self.0.lock();
        (pages.sent, pages.ended.len())
    }

    /// Closes the file, which is then on the disk. An operation that has not ended by now is written with an
    /// unknown outcome.
    pub fn finish(&self) -> io::Result<()> {
        let mut pages = self.0.lock();
        let Some(mut journal) = pages.journal.take() else { return Ok(()) };
        pages.pending.values().try_for_each(|operation| journal.write(operation))?;
        drop(pages);
        let file = journal.finish()?;
        file.get_ref().sync_all()
    }

    fn begin(&self, operation: Operation) -> u64 {
        let mut pages = self.0.lock();
        pages.sent += 1;
        let number = pages.sent;
        pages.pending.insert(number, operation);
        number
    }

    fn end(&self, number: u64, told: impl FnOnce(&mut Operation)) {
        let mut pages = self.0.lock();
        let Some(mut operation) = pages.pending.remove(&number) else { return };
        told(&mut operation);
        if let Some(journal) = &mut pages.journal
            && let Err(error) = journal.write(&operation)
        {
            tracing::warn!(%error, "a history can no longer be written to its file; it is still judged");
            pages.journal = None;
        }
        pages.ended.push(operation);
    }
}

impl Recorded {
    /// The entry of a stream's n-th request.
    pub(super) fn entry(&self, stream: &str, key: &str, n: u64, request: Option<String>) -> Entry {
        let action = match self.action {
            RecordedAction::Add { by } => Action::Add { by },
            RecordedAction::Put => Action::Put { value: n.to_string() },
            RecordedAction::GetLocal => Action::Get { read: Read::Local },
            RecordedAction::GetLatest => Action::Get { read: Read::Latest },
        };
        let session = match self.sessions {
            Sessions::EachRequest => format!("{stream} {n}"),
            Sessions::EachKey => format!("owner {key}"),
        };
        Entry { log: self.log.clone(), session, key: key.to_owned(), action, request }
    }
}

impl Entry {
    /// Records that it is being sent.
    pub(super) fn begin(self, invoked: Moment) -> Pending {
        let operation = Operation {
            session: self.session,
            key: self.key,
            action: self.action,
            request: self.request,
            node: None,
            invoked_at: at(invoked),
            returned_at: None,
            outcome: Said::Unknown("not answered yet".into()),
        };
        let number = self.log.begin(operation);
        Pending { log: self.log, number }
    }
}

impl Pending {
    /// Records its outcome.
    pub(super) fn complete(self, returned: Moment, came: &ResponseSummary<'_>) {
        self.log.end(self.number, |operation| {
            operation.outcome = said(&operation.action, came);
            operation.node.clone_from(&came.node);
            operation.returned_at = (came.status != 0).then(|| at(returned));
        });
    }
}

fn at(moment: Moment) -> At {
    At(u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX))
}

/// What an answer says about the operation's effect. Anything uncertain is unknown.
fn said(action: &Action, came: &ResponseSummary<'_>) -> Said {
    let text = String::from_utf8_lossy(came.body);
    match (came.outcome, came.status) {
        (Outcome::Ok | Outcome::Stale, _) => answer(action, &text, came.etag)
            .map_or_else(|| Said::Unknown(format!("an answer without a value: {text:.100}")), Said::Ok),
        (_, 404) if matches!(action, Action::Get { .. }) => Said::Ok(Answer::Absent),
        // No connection was made. A request that hit the generator's own limits may have been sent.
        (Outcome::Refused | Outcome::ConnectTimeout, _) => Said::Failed(came.outcome.name().into()),
        (_, 300..=499) => Said::Failed(format!("status {}", came.status)),
        (_, 503) if text.contains("not_written") || text.contains("no_primary") => {
            Said::Failed("not written".into())
        }
        (outcome, status) => Said::Unknown(format!("{}, status {status}", outcome.name())),
    }
}

/// The value in an answer: the whole body, or a number of that name in a JSON document. The version is in the
/// same document or in the `ETag`.
fn answer(action: &Action, text: &str, etag: Option<&str>) -> Option<Answer> {
    let document: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let named = |name: &str| document.as_ref()?.get(name);
    let number = || ["value", "balance"].into_iter().find_map(|name| named(name)?.as_i64());
    let tag = || etag?.strip_prefix('"')?.strip_suffix('"');
    let version = named("version").and_then(serde_json::Value::as_str).or_else(tag).and_then(version);
    Some(match action {
        Action::Put { .. } | Action::Delete => Answer::Done { version },
        Action::Add { .. } => Answer::Sum { value: number()?, version },
        Action::Get { .. } => {
            let value = number().map_or_else(|| text.trim().to_owned(), |number| number.to_string());
            Answer::Found { value, version }
        }
    })
}

/// Converts a version as the database writes it, `term.index`, to one number that grows with each write.
fn version(text: &str) -> Option<u64> {
    const INDEX_BITS: u32 = 40;
    let (term, index) = text.split_once('.')?;
    let (term, index): (u64, u64) = (term.parse().ok()?, index.parse().ok()?);
    (term < 1 << (64 - INDEX_BITS) && index < 1 << INDEX_BITS).then_some(term << INDEX_BITS | index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADD: Action = Action::Add { by: 50 };
    const GET: Action = Action::Get { read: Read::Local };

    fn of(action: &Action, outcome: Outcome, status: u16, body: &str) -> Said {
        said(action, &ResponseSummary { outcome, status, node: None, etag: None, body: body.as_bytes() })
    }

    #[test]
    fn a_history_is_in_its_file_while_it_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.jsonl");
        let log = HistoryLog::written_to(&path).unwrap();
        let recorded =
            Recorded { log: log.clone(), action: RecordedAction::Put, sessions: Sessions::EachKey };
        let came = ResponseSummary {
            outcome: Outcome::Ok,
            status: 204,
            node: Some("db-1".into()),
            etag: None,
            body: b"",
        };
        let second = std::time::Duration::from_secs(1);
        recorded.entry("puts", "k", 7, None).begin(second).complete(second * 2, &came);
        let file = || std::io::BufReader::new(File::open(&path).unwrap());
        let written = history::journal::read(file()).unwrap().operations;
        assert_eq!(written, log.operations());
        assert_eq!((&*written[0].session, written[0].invoked_at), ("owner k", At(1_000_000_000)));
        log.finish().unwrap();
    }

    #[test]
    fn what_is_under_way_is_there_and_of_unknown_outcome() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history.jsonl");
        let log = HistoryLog::written_to(&path).unwrap();
        let recorded =
            Recorded { log: log.clone(), action: RecordedAction::Put, sessions: Sessions::EachRequest };
        let outcomes = || log.operations().into_iter().map(|operation| operation.outcome).collect::<Vec<_>>();
        let before = log.revision();
        let second = std::time::Duration::from_secs(1);
        let pending = [1, 2].map(|n| recorded.entry("puts", "k", n, None).begin(second));
        assert!(matches!(outcomes()[..], [Said::Unknown(_), Said::Unknown(_)]));
        let begun = log.revision();
        let [first, _cut_off] = pending;
        let came = ResponseSummary {
            outcome: Outcome::Ok,
            status: 204,
            node: None,
            etag: Some("\"0.3\""),
            body: b"",
        };
        first.complete(second * 2, &came);
        assert_eq!(outcomes()[0], Said::Ok(Answer::Done { version: Some(3) }));
        assert!(matches!(outcomes()[1], Said::Unknown(_)));
        assert!(before != begun && begun != log.revision());
        log.finish().unwrap();
        let file = std::io::BufReader::new(File::open(&path).unwrap());
        assert_eq!(history::journal::read(file).unwrap().operations, log.operations());
    }

    #[test]
    fn values_are_found_in_every_answer_of_the_lab() {
        let sum = |version| Said::Ok(Answer::Sum { value: 150, version });
        assert_eq!(of(&ADD, Outcome::Ok, 200, r#"{"value":150,"version":"0.3"}"#), sum(Some(3)));
        assert_eq!(of(&ADD, Outcome::Ok, 200, r#"{"id":"1","balance":150}"#), sum(None));
        let found = Said::Ok(Answer::Found { value: "150".into(), version: None });
        assert_eq!(of(&GET, Outcome::Ok, 200, "150"), found);
        assert_eq!(of(&GET, Outcome::Ok, 200, r#"{"balance":150}"#), found);
        assert_eq!(of(&GET, Outcome::ClientError, 404, "{}"), Said::Ok(Answer::Absent));
    }

    #[test]
    fn a_version_is_in_the_document_or_in_the_etag() {
        let second = Some(2 << 40 | 7);
        assert_eq!(version("2.7"), second);
        assert!(version("2.7") > version("1.900"), "a later term is later, whatever its place");
        for text in ["", "7", "2.", "a.b", "1.2.3", "16777216.0"] {
            assert_eq!(version(text), None, "{text}");
        }
        let etag = Some("\"2.7\"");
        assert_eq!(answer(&Action::Delete, "", etag), Some(Answer::Done { version: second }));
        let found = Answer::Found { value: "150".into(), version: second };
        assert_eq!(answer(&GET, "150", etag), Some(found.clone()));
        assert_eq!(answer(&GET, r#"{"balance":150,"version":"2.7"}"#, None), Some(found));
    }

    /// Only their versions tell which of the two was written first.
    #[test]
    fn a_read_of_the_smaller_sum_after_two_overlapping_additions_is_stale() {
        let log = HistoryLog::default();
        let ask = |action, n, [invoked, returned]: [u64; 2], body: &str| {
            let recorded = Recorded { log: log.clone(), action, sessions: Sessions::EachRequest };
            let came = ResponseSummary {
                outcome: Outcome::Ok,
                status: 200,
                node: None,
                etag: None,
                body: body.as_bytes(),
            };
            let ms = std::time::Duration::from_millis;
            recorded.entry("s", "k", n, None).begin(ms(invoked)).complete(ms(returned), &came);
        };
        let add = RecordedAction::Add { by: 50 };
        ask(add, 1, [0, 9], r#"{"balance":50,"version":"1.1"}"#);
        ask(add, 2, [1, 8], r#"{"balance":100,"version":"1.2"}"#);
        ask(RecordedAction::GetLatest, 3, [10, 11], r#"{"balance":50,"version":"1.1"}"#);
        let stale = history::stale::judge(&history::History::new(log.operations())).stale;
        assert_eq!(stale.len(), 1);
    }

    #[test]
    fn only_what_surely_did_not_happen_has_failed() {
        let failed = |said| matches!(said, Said::Failed(_));
        assert!(failed(of(&ADD, Outcome::Refused, 0, "")));
        assert!(failed(of(&ADD, Outcome::Shed, 503, r#"{"error":"not_written"}"#)));
        assert!(failed(of(&ADD, Outcome::ClientError, 422, "")));
        let unknown = |said| matches!(said, Said::Unknown(_));
        assert!(unknown(of(&ADD, Outcome::Timeout, 0, "")));
        assert!(unknown(of(&ADD, Outcome::Reset, 0, "")));
        assert!(unknown(of(&ADD, Outcome::Cancelled, 0, "")), "it may have been sent");
        assert!(unknown(of(&ADD, Outcome::ServerError, 504, r#"{"error":"outcome_unknown"}"#)));
        assert!(unknown(of(&ADD, Outcome::ServerError, 502, "")));
        assert!(unknown(of(&ADD, Outcome::Ok, 200, "no number")), "an answer that cannot be read");
    }
}
