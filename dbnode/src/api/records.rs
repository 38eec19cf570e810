//! Requests about one record.

use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use machine::trace::Span;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::query::{OF_RECORD, Query};
use super::{Answer, Api, body, empty, json, with_body};
use crate::config::Reads;
use crate::metrics::Timed;
use crate::replication::effect::Written;
use crate::replication::input::{Action, Write};
use crate::replication::key::Key;
use dbclient::{Version, headers};

impl Api {
    /// `GET /kv/{key}`
    pub(super) async fn get(&self, key: &Key, query: Option<&str>) -> Result<Answer, Problem> {
        let read = Query::parse(query, OF_RECORD)?.read;
        let _timed = Timed::begin(&self.metrics.read_seconds);
        self.machine.cpu(self.config.query_cost).await;
        self.metrics.reads.inc();
        let found = self.look(read, |view| view.get(key.as_str())).await?;
        let Some(record) = found else {
            return Err(Problem::new(
                StatusCode::NOT_FOUND,
                "no_such_record",
                "there is no record with this key",
            ));
        };
        if self.config.reads == Reads::ThroughPages {
            self.machine.page(record.page).await;
        }
        let mut answer = with_body(StatusCode::OK, record.value);
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(header::ETAG, etag(record.version));
        self.say_lag(read, &mut answer);
        Ok(answer)
    }

    /// `PUT /kv/{key}`
    pub(super) async fn put(&self, key: Key, request: Request<Incoming>) -> Result<Answer, Problem> {
        let write = write(key, &request)?;
        let action = Action::Put(body::read(request).await?);
        let written = self.write(Write { action, ..write }).await?;
        Ok(done(written.version))
    }

    /// `DELETE /kv/{key}`
    pub(super) async fn delete(&self, key: Key, request: &Request<Incoming>) -> Result<Answer, Problem> {
        let written = self.write(write(key, request)?).await?;
        Ok(done(written.version))
    }

    /// `POST /kv/{key}/add`
    pub(super) async fn add(&self, key: Key, request: Request<Incoming>) -> Result<Answer, Problem> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Addition {
            by: i64,
        }
        #[derive(Serialize)]
        struct Added {
            value: Option<i64>,
            version: Version,
        }
        let write = write(key, &request)?;
        let body = body::read(request).await?;
        let Addition { by } = serde_json::from_slice(&body).map_err(|error| {
            Problem::bad_request("bad_body", format!("the body is not {{\"by\": number}}: {error}"))
        })?;
        let written = self.write(Write { action: Action::Add(by), ..write }).await?;
        let mut answer = json(StatusCode::OK, &Added { value: written.sum, version: written.version });
        answer.headers_mut().insert(header::ETAG, etag(written.version));
        Ok(answer)
    }

    async fn write(&self, write: Write) -> Result<Written, Problem> {
        let _timed = Timed::begin(&self.metrics.write_seconds);
        self.machine.cpu(self.config.query_cost).await;
        // Covers the disk of this node, and in quorum and sync mode those of other nodes.
        let _span = Span::within_current(|| "commit".into());
        Ok(self.node.write(write).await?)
    }
}

/// Builds a deletion with the request's preconditions and idempotency key.
fn write(key: Key, request: &Request<Incoming>) -> Result<Write, Problem> {
    let condition = headers::condition(request.headers())?;
    let request = headers::idempotency_key(request.headers())?.map(Into::into);
    Ok(Write { key, action: Action::Delete, condition, request })
}

fn done(version: Version) -> Answer {
    let mut answer = empty(StatusCode::NO_CONTENT);
    answer.headers_mut().insert(header::ETAG, etag(version));
    answer
}

fn etag(version: Version) -> HeaderValue {
    HeaderValue::try_from(version.etag()).expect("digits and quotes are a header's value")
}
