//! Records in etcd, one key each. A read-modify-write is a transaction that fails if another write came in between.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use dbclient::{Condition, Read, Version};
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::database::{Action, List, Node, Record, Refusal, Status, Store, Write, Written, about};

/// Timeout of a request to etcd.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to start, and to elect its first leader.
const START_MAX: Duration = Duration::from_secs(60);
/// The pause between attempts.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// The number of attempts of a write that loses to concurrent writes.
const TRIES_MAX: u32 = 50;
/// The longest response, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The prefixes of the keys of records, and of requests' idempotency keys.
const RECORD: &str = "record/";
const REQUEST: &str = "request/";
/// A constant term: an etcd revision only grows, across leaders.
const TERM: u64 = 1;

pub(super) struct Etcd {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    window: Duration,
    /// The lease that expires idempotency keys, after at least one window.
    lease: Mutex<Option<String>>,
}

/// A key in etcd.
#[derive(Debug, Clone, Deserialize)]
struct Kv {
    key: String,
    #[serde(default)]
    value: String,
    mod_revision: String,
}

/// A request that was carried out.
#[derive(Debug, Serialize, Deserialize)]
struct Done {
    about: String,
    sum: Option<i64>,
}

/// Why a request to etcd failed.
enum Failed {
    /// etcd refused it, so nothing was done.
    Refused(String),
    /// The outcome is unknown.
    Silent(String),
}

impl Etcd {
    /// Connects to this node's etcd, once there is a leader.
    pub(super) async fn connect(node: &Node, url: &str) -> anyhow::Result<Self> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let window = node.config.idempotency_window;
        let etcd = Self { client, url: url.to_owned(), window, lease: Mutex::default() };
        let deadline = Instant::now() + START_MAX;
        while etcd.status().await.is_none_or(|status| status.primary.is_none()) {
            anyhow::ensure!(Instant::now() < deadline, "etcd had no leader within {START_MAX:?}");
            sleep(AGAIN_AFTER).await;
        }
        Ok(etcd)
    }

    /// Imports the initial records.
    pub(super) async fn import(&self, node: &Node) -> anyhow::Result<()> {
        for record in node.imported()? {
            let write = Write {
                key: record.key,
                action: Action::Put(record.value.into()),
                condition: Condition::IfAbsent,
                request: None,
            };
            match self.write(write).await {
                Ok(_) | Err(Refusal::Conflict) => {}
                Err(refusal) => anyhow::bail!("import the records of --import: {refusal}"),
            }
        }
        Ok(())
    }

    /// Grants a new lease in each window: an idempotency key lives for between one window and two.
    pub(super) async fn renew_lease(self: Arc<Self>) {
        loop {
            let asked = json!({ "TTL": (self.window.as_secs() * 2).to_string(), "ID": "0" });
            match self.ask("lease/grant", &asked).await {
                Ok(answer) => {
                    *self.lease.lock() = answer["ID"].as_str().map(str::to_owned);
                    sleep(self.window).await;
                }
                Err(_) => sleep(AGAIN_AFTER * 10).await,
            }
        }
    }

    async fn ask(&self, what: &str, document: &Value) -> Result<Value, Failed> {
        let silent = |error: String| Failed::Silent(format!("etcd did not answer: {error}"));
        let request =
            Request::post(format!("{}/v3/{what}", self.url)).body(Full::new(document.to_string().into()));
        let request = request.map_err(|error| silent(error.to_string()))?;
        let exchange = async {
            let answer = self.client.request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((status, body))
        };
        let answered =
            timeout(PATIENCE, exchange).await.map_err(|_| silent(format!("nothing within {PATIENCE:?}")))?;
        let (status, body) = answered.map_err(|error| silent(error.to_string()))?;
        let document: Value = serde_json::from_slice(&body).map_err(|error| silent(error.to_string()))?;
        if status.is_success() {
            return Ok(document);
        }
        let said = document["error"].as_str().unwrap_or("it said nothing").to_owned();
        // A proposal that timed out, or lost its leader, may still be carried out.
        let is_unknown =
            ["timed out", "leader changed", "stopped", "deadline"].iter().any(|word| said.contains(word));
        Err(if is_unknown { Failed::Silent(said) } else { Failed::Refused(said) })
    }

    async fn range(&self, mut wanted: Value, read: Read) -> Result<Vec<Kv>, Refusal> {
        wanted["serializable"] = json!(read == Read::Local);
        let mut answer = self.ask("kv/range", &wanted).await.map_err(|failed| match failed {
            Failed::Refused(said) | Failed::Silent(said) => Refusal::NotConfirmed(said),
        })?;
        Ok(serde_json::from_value(answer["kvs"].take()).unwrap_or_default())
    }

    async fn one(&self, key: &str, read: Read) -> Result<Option<Kv>, Refusal> {
        Ok(self.range(json!({ "key": BASE64.encode(key) }), read).await?.pop())
    }

    /// Makes one attempt. `None`: a concurrent write was faster.
    async fn try_write(&self, write: &Write) -> Result<Option<Written>, Refusal> {
        let not_written = |refusal: Refusal| Refusal::NotWritten(refusal.to_string());
        let (record, about) = (format!("{RECORD}{}", write.key), about(write));
        let request = write.request.as_ref().map(|name| format!("{REQUEST}{name}"));
        if let Some(name) = &request
            && let Some(earlier) = self.one(name, Read::Latest).await.map_err(not_written)?
        {
            return repeated(&earlier, &about).map(Some);
        }
        let old = self.one(&record, Read::Latest).await.map_err(not_written)?;
        let revision = old.as_ref().map(|old| old.mod_revision.as_str());
        let holds = match write.condition {
            Condition::Always => true,
            Condition::IfAbsent => old.is_none(),
            Condition::IfVersion(version) => revision.is_some_and(|revision| numbered(revision) == version),
        };
        if !holds {
            return Err(Refusal::Conflict);
        }
        let (change, sum) = changed(&record, &write.action, old.as_ref())?;
        let mut compare = vec![
            json!({ "key": BASE64.encode(&record), "target": "MOD", "mod_revision": revision.unwrap_or("0") }),
        ];
        let mut success = vec![change];
        if let Some(name) = &request {
            let done = serde_json::to_vec(&Done { about, sum }).expect("texts and numbers always serialize");
            let lease = self.lease.lock().clone().unwrap_or("0".into());
            compare.push(json!({ "key": BASE64.encode(name), "target": "MOD", "mod_revision": "0" }));
            let put = json!({ "key": BASE64.encode(name), "value": BASE64.encode(done), "lease": lease });
            success.push(json!({ "request_put": put }));
        }
        let answer = self.ask("kv/txn", &json!({ "compare": compare, "success": success })).await;
        let answer = answer.map_err(|failed| match failed {
            Failed::Refused(said) => Refusal::NotWritten(said),
            Failed::Silent(said) => Refusal::OutcomeUnknown(said),
        })?;
        if answer["succeeded"] != json!(true) {
            return Ok(None);
        }
        let version = numbered(answer["header"]["revision"].as_str().unwrap_or_default());
        Ok(Some(Written { sum, version }))
    }
}

impl Store for Etcd {
    async fn get(&self, key: &str, read: Read) -> Result<Option<Record>, Refusal> {
        let found = self.one(&format!("{RECORD}{key}"), read).await?;
        Ok(found.map(|kv| Record { value: decoded(&kv.value).into(), version: numbered(&kv.mod_revision) }))
    }

    async fn write(&self, write: Write) -> Result<Written, Refusal> {
        for _ in 0..TRIES_MAX {
            if let Some(written) = self.try_write(&write).await? {
                return Ok(written);
            }
        }
        Err(Refusal::NotWritten(format!("others wrote to '{}' all the time", write.key)))
    }

    async fn list(
        &self,
        List { read, prefix, after, limit }: List,
    ) -> Result<Vec<(String, Record)>, Refusal> {
        // The successor of `after` is `after` with a zero byte; the end of a prefix has its last byte incremented.
        let from = if after >= prefix && !after.is_empty() {
            format!("{RECORD}{after}\0")
        } else {
            format!("{RECORD}{prefix}")
        };
        let mut end = format!("{RECORD}{prefix}").into_bytes();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        let wanted = json!({
            "key": BASE64.encode(from), "range_end": BASE64.encode(end), "limit": (limit + 1).to_string(),
        });
        let found = self.range(wanted, read).await?.into_iter();
        let records = found.filter_map(|kv| {
            let key = String::from_utf8(decoded(&kv.key)).ok()?.strip_prefix(RECORD)?.to_owned();
            Some((key, Record { value: decoded(&kv.value).into(), version: numbered(&kv.mod_revision) }))
        });
        Ok(records.collect())
    }

    async fn status(&self) -> Option<Status> {
        let said = self.ask("maintenance/status", &json!({})).await.ok()?;
        let number = |value: &Value| value.as_str().and_then(|text| text.parse::<u64>().ok());
        let leader = number(&said["leader"]).filter(|leader| *leader != 0);
        let own = number(&said["header"]["member_id"])?;
        Some(Status {
            role: if leader == Some(own) { "primary" } else { "replica" },
            term: number(&said["raftTerm"]).unwrap_or_default(),
            primary: leader.map(|leader| format!("{leader:x}")),
            last_index: number(&said["raftIndex"]).unwrap_or_default(),
            applied_index: number(&said["raftAppliedIndex"]).unwrap_or_default(),
        })
    }
}

/// Returns the earlier result under the same idempotency key.
fn repeated(earlier: &Kv, about: &str) -> Result<Written, Refusal> {
    let done: Done = serde_json::from_slice(&decoded(&earlier.value))
        .map_err(|_| Refusal::NotWritten("what is kept of an earlier request cannot be read".into()))?;
    match done.about == about {
        true => Ok(Written { sum: done.sum, version: numbered(&earlier.mod_revision) }),
        false => Err(Refusal::RequestReused),
    }
}

/// Returns the operation that applies an action to a record, and the sum of an addition.
fn changed(record: &str, action: &Action, old: Option<&Kv>) -> Result<(Value, Option<i64>), Refusal> {
    let put = |value: &[u8]| json!({ "request_put": { "key": BASE64.encode(record), "value": BASE64.encode(value) } });
    match action {
        Action::Put(value) => Ok((put(value), None)),
        Action::Delete => Ok((json!({ "request_delete_range": { "key": BASE64.encode(record) } }), None)),
        Action::Add(by) => {
            let number = old.map(|old| String::from_utf8(decoded(&old.value)).ok()?.parse::<i64>().ok());
            let number = number.unwrap_or(Some(0)).ok_or(Refusal::NotANumber)?;
            let sum = number.checked_add(*by).ok_or(Refusal::Overflow)?;
            Ok((put(sum.to_string().as_bytes()), Some(sum)))
        }
    }
}

fn decoded(text: &str) -> Vec<u8> {
    BASE64.decode(text).unwrap_or_default()
}

fn numbered(revision: &str) -> Version {
    Version::of(TERM, revision.parse().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(value: &str) -> Kv {
        Kv { key: String::new(), value: BASE64.encode(value), mod_revision: "7".into() }
    }

    #[test]
    fn what_is_added_to_is_a_number_and_stays_one() {
        let sum =
            |old: Option<&str>, by| changed("k", &Action::Add(by), old.map(kv).as_ref()).map(|(_, sum)| sum);
        assert_eq!((sum(None, 5), sum(Some("7"), -9)), (Ok(Some(5)), Ok(Some(-2))));
        assert_eq!(sum(Some("seven"), 1), Err(Refusal::NotANumber));
        assert_eq!(sum(Some(&i64::MAX.to_string()), 1), Err(Refusal::Overflow));
    }

    #[test]
    fn a_name_that_was_used_for_something_else_is_refused() {
        let earlier = kv(r#"{"about":"x","sum":50}"#);
        assert_eq!(
            repeated(&earlier, "x").unwrap(),
            Written { sum: Some(50), version: Version::of(TERM, 7) }
        );
        assert_eq!(repeated(&earlier, "y"), Err(Refusal::RequestReused));
    }
}
