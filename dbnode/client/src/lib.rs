//! The database's client library.
//!
//! Every call ends within its time limit, and its error says whether a write may have happened.
//! Nothing is retried that could take effect twice. A call that was certainly rejected because
//! there was no primary is retried until there is one, or the time is up. All other retries could
//! multiply load or harm, so they are left to the caller, who knows what the call means.

/// A node's response.
mod answer;
/// A request to a node.
mod call;
/// The connection pool.
mod connections;
/// Why a call failed.
mod error;
/// One call, from node to node until there is an answer.
mod exchange;
/// Parses request headers, for servers.
pub mod headers;
/// Decides which node to ask next.
pub mod routing;
/// Parameters and results of calls.
mod types;
/// Versions of records.
mod version;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use machine::names::Name;
use machine::network::Network;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use error::ClientError;
pub use types::{ClientLimits, Condition, Read, Record, Sum};
pub use version::Version;

use answer::Answer;
use call::{Call, Effect};
use exchange::Exchange;

/// Characters that need no encoding in a path (RFC 3986, unreserved).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A client of the database. Cheap to clone; the clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    exchange: Arc<Exchange>,
}

impl Client {
    /// A client of these nodes; their names are resolved continually. It connects when it is first
    /// used.
    pub fn new(nodes: Vec<impl Into<Name>>, network: Network, limits: ClientLimits) -> Self {
        let nodes = nodes.into_iter().map(Into::into).collect();
        Self { exchange: Arc::new(Exchange::new(nodes, network, limits)) }
    }

    /// Reads a record; `None` if there is no such record. A linearizable read goes to the primary,
    /// a local one to each node in turn.
    pub async fn get(&self, key: &str, read: Read) -> Result<Option<Record>, ClientError> {
        found(match read {
            Read::Latest => self.exchange.call(get(key, read)).await?,
            Read::Local => self.exchange.call_any(get(key, read)).await?,
        })
    }

    /// Reads a record from the node with this name, which may be behind.
    pub async fn get_from(&self, node: &str, key: &str) -> Result<Option<Record>, ClientError> {
        found(self.exchange.call_one(node, &get(key, Read::Local)).await?)
    }

    /// Writes a record, and returns its new version.
    pub async fn put(&self, key: &str, value: Bytes, condition: Condition) -> Result<Version, ClientError> {
        let call = Call::new(Method::PUT, path(key, ""), Effect::EachTime).only_if(condition).carrying(value);
        let answer = self.exchange.call(call).await?;
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT => written(&answer),
            _ => Err(answer.into_error(Effect::EachTime)),
        }
    }

    /// Deletes a record. Succeeds even if there is none.
    pub async fn delete(&self, key: &str, condition: Condition) -> Result<(), ClientError> {
        let call = Call::new(Method::DELETE, path(key, ""), Effect::EachTime).only_if(condition);
        let answer = self.exchange.call(call).await?;
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
            _ => Err(answer.into_error(Effect::EachTime)),
        }
    }

    /// Adds to a numeric record atomically; a missing one counts as 0. With an idempotency key,
    /// repeated calls take effect only once.
    pub async fn add(&self, key: &str, by: i64, idempotency_key: Option<&str>) -> Result<Sum, ClientError> {
        let effect = if idempotency_key.is_some() { Effect::Once } else { Effect::EachTime };
        let body = Bytes::from(format!("{{\"by\":{by}}}"));
        let mut call = Call::new(Method::POST, path(key, "/add"), effect).carrying(body);
        if let Some(id) = idempotency_key {
            call = call.with_idempotency_key(id)?;
        }
        let answer = self.exchange.call(call).await?;
        match answer.status {
            StatusCode::OK => sum(&answer),
            _ => Err(answer.into_error(effect)),
        }
    }
}

fn get(key: &str, read: Read) -> Call {
    let freshness = match read {
        Read::Local => "?read=local",
        Read::Latest => "?read=latest",
    };
    Call::new(Method::GET, path(key, freshness), Effect::None)
}

fn found(answer: Answer) -> Result<Option<Record>, ClientError> {
    match answer.status {
        StatusCode::OK => Ok(Some(record(answer)?)),
        StatusCode::NOT_FOUND => Ok(None),
        _ => Err(answer.into_error(Effect::None)),
    }
}

fn path(key: &str, rest: &str) -> String {
    format!("/kv/{}{rest}", utf8_percent_encode(key, ENCODED))
}

fn record(answer: Answer) -> Result<Record, ClientError> {
    let Some(version) = answer.header(header::ETAG.as_str()).and_then(Version::from_etag) else {
        return Err(ClientError::Unavailable {
            detail: "a record without a version; is this a database?".into(),
        });
    };
    let node = answer.header("x-db-node").unwrap_or_default().to_owned();
    let lag_ms = answer.header("x-lag-ms").and_then(|lag| lag.parse().ok());
    Ok(Record { value: answer.body, version, node, lag_ms })
}

fn written(answer: &Answer) -> Result<Version, ClientError> {
    let version = answer.header(header::ETAG.as_str()).and_then(Version::from_etag);
    version.ok_or_else(|| ClientError::OutcomeUnknown {
        detail: "a write without a version; is this a database?".into(),
    })
}

fn sum(answer: &Answer) -> Result<Sum, ClientError> {
    #[derive(serde::Deserialize)]
    struct Added {
        value: i64,
        version: Version,
    }
    match serde_json::from_slice(&answer.body) {
        Ok(Added { value, version }) => Ok(Sum { value, version }),
        Err(error) => {
            Err(ClientError::OutcomeUnknown { detail: format!("the answer cannot be read: {error}") })
        }
    }
}
