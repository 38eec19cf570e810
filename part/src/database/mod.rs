//! The database's side of the contract, for any adapted program: HTTP outside, a [`Store`] inside.

mod api;
mod documents;

use std::future::pending;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use dbclient::{Condition, Read, Version};
use dbnode::replication::durability::Mode;
use dbnode::{Args, Config};
use machine::Machine;
use machine::serving::{self, Limits};
use machine::startup;
use machine::vitals::Vitals;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::child::{self, Program};

/// An adapted database, as the contract sees it.
pub(crate) trait Store: Send + Sync + 'static {
    /// Reads a record.
    fn get(&self, key: &str, read: Read) -> impl Future<Output = Result<Option<Record>, Refusal>> + Send;

    /// Carries out a write atomically.
    fn write(&self, write: Write) -> impl Future<Output = Result<Written, Refusal>> + Send;

    /// Lists records in key order: one more than the limit, if there are more.
    fn list(&self, list: List) -> impl Future<Output = Result<Vec<(String, Record)>, Refusal>> + Send;

    /// Returns the node's status. `None`: its program does not answer.
    fn status(&self) -> impl Future<Output = Option<Status>> + Send;
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The value that was put.
    pub(crate) value: Bytes,
    /// The version that its last write gave it.
    pub(crate) version: Version,
}

/// A query for a range of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List {
    /// The consistency of the read.
    pub(crate) read: Read,
    /// Only keys with this prefix.
    pub(crate) prefix: String,
    /// Only keys after this one.
    pub(crate) after: String,
    /// The largest number of records.
    pub(crate) limit: usize,
}

/// The operation of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Puts a value.
    Put(Bytes),
    /// Removes the record.
    Delete,
    /// Adds to a number.
    Add(i64),
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    /// The record's key.
    pub(crate) key: String,
    /// The operation.
    pub(crate) action: Action,
    /// The condition for carrying it out.
    pub(crate) condition: Condition,
    /// The idempotency key: writes with the same key are carried out once.
    pub(crate) request: Option<String>,
}

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// The new value, after an addition.
    pub(crate) sum: Option<i64>,
    /// The record's new version.
    pub(crate) version: Version,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The condition does not hold.
    #[error("the record is not what the condition says")]
    Conflict,
    /// The value is not a number that can be added to.
    #[error("the record is not a number, or too large a one")]
    NotANumber,
    /// The sum overflows.
    #[error("the sum does not fit 64 bits")]
    Overflow,
    /// The idempotency key belongs to a different write.
    #[error("this Idempotency-Key was another write's")]
    RequestReused,
    /// Another node is the primary.
    #[error("'{name}' is the primary")]
    NotPrimary {
        /// Its name.
        name: String,
        /// Its address for clients: `HOST:PORT`.
        at: String,
    },
    /// No node is known to be the primary.
    #[error("no primary is known: {0}")]
    NoPrimary(String),
    /// It certainly was not done.
    #[error("{0}")]
    NotWritten(String),
    /// It may have been done, or may still be.
    #[error("{0}")]
    OutcomeUnknown(String),
    /// A read could not be confirmed.
    #[error("{0}")]
    NotConfirmed(String),
}

/// A node's status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Status {
    /// `primary` or `replica`.
    pub(crate) role: &'static str,
    /// The latest term that it knows of.
    pub(crate) term: u64,
    /// The primary's name, if it is known.
    pub(crate) primary: Option<String>,
    /// The index of the last entry in its log.
    pub(crate) last_index: u64,
    /// The index up to which readers see the log.
    pub(crate) applied_index: u64,
}

/// A record to import, as a line of the file.
#[derive(Debug, Deserialize)]
pub(crate) struct Imported {
    /// Its key.
    pub(crate) key: String,
    /// Its value.
    pub(crate) value: String,
}

/// A node's checked flags, and what every adapter needs besides.
pub(crate) struct Node {
    /// The flags.
    pub(crate) config: Config,
    /// The members of the database including this one, sorted by name.
    pub(crate) members: Vec<String>,
    /// The secret that they share.
    pub(crate) secret: Option<String>,
    /// The replication mode. A single node waits for no other.
    pub(crate) mode: Mode,
    /// Its readiness, and its counters.
    pub(crate) vitals: Arc<Vitals>,
    /// Cancelled when this process has to end.
    pub(crate) stop: CancellationToken,
    machine: Machine,
}

impl Node {
    /// Checks the flags.
    pub(crate) fn begin(args: Args, machine: Machine) -> anyhow::Result<Self> {
        let vitals = Vitals::new("part");
        let stop = startup::stop_on_signal(Arc::clone(&vitals), args.startup.drain_delay.into())?;
        let secret = args.secret_file.as_deref().map(std::fs::read_to_string).transpose();
        let secret = secret.context("read --secret-file")?.map(|text| text.trim().to_owned());
        let config = Config::try_from(args)?;
        let peers = config.cluster.iter().flat_map(|cluster| &cluster.peers);
        let mut members: Vec<_> =
            peers.map(|peer| peer.name.to_string()).chain([config.id.clone()]).collect();
        members.sort();
        let mode = config.cluster.as_ref().map_or(Mode::Async, |cluster| cluster.mode);
        Ok(Self { config, members, secret, mode, vitals, stop, machine })
    }

    /// Returns whether it is the first member, where the database starts.
    pub(crate) fn is_first(&self) -> bool {
        self.members.first() == Some(&self.config.id)
    }

    /// Returns the address at which this node reaches another: through the lab's links, if there are any.
    pub(crate) fn way_to(&self, member: &str) -> Option<&str> {
        let mut peers = self.config.cluster.iter().flat_map(|cluster| &cluster.peers);
        peers.find(|peer| &*peer.name == member).map(|peer| peer.address.as_str())
    }

    /// Returns the address at which other members reach its program, or this port for a single node.
    pub(crate) fn program_listens(&self, port_if_alone: u16) -> std::net::SocketAddr {
        match &self.config.cluster {
            Some(cluster) => cluster.listen,
            None => (self.config.listen.ip(), port_if_alone).into(),
        }
    }

    /// Returns the address at which clients reach this node.
    pub(crate) fn advertised(&self) -> String {
        self.config.advertise.clone().unwrap_or_else(|| self.config.listen.to_string())
    }

    /// Returns the records to import.
    pub(crate) fn imported(&self) -> anyhow::Result<Vec<Imported>> {
        self.config.import.as_deref().map_or(Ok(vec![]), imported)
    }

    /// Serves the contract until it is told to stop, then ends the program. It is an error if the program ends first.
    pub(crate) async fn serve(self, store: Arc<impl Store>, mut program: Program) -> anyhow::Result<()> {
        let Self { config, vitals, stop, machine, .. } = self;
        let (address, drain) = (config.listen, config.drain);
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("listen on {address} (--listen)"))?;
        let limits = Limits { files_reserved: 256, drain, ..Limits::default() };
        let app = api::app(api::Api::new(config, store, machine, vitals));
        let over = CancellationToken::new();
        let serving = tokio::spawn(serving::serve(Box::new(listener), app, limits, over.clone()));
        tracing::info!(%address, "{} is running", program.title);
        child::until_stopped(program.title, &mut program.child, &stop, pending()).await?;
        over.cancel();
        serving.await.context("end the HTTP server")?;
        child::end(program.child, program.ends_on, drain).await;
        Ok(())
    }
}

fn imported(file: &Path) -> anyhow::Result<Vec<Imported>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("read {} (--import)", file.display()))?;
    let record = |(number, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| {
            format!("--import {}: line {} is no {{\"key\", \"value\"}}", file.display(), number + 1)
        })
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(record).collect()
}

/// Returns a digest of a write, by which the reuse of an idempotency key for a different write is detected.
pub(crate) fn about(write: &Write) -> String {
    use sha2::{Digest, Sha256};
    let (verb, bytes): (&str, &[u8]) = match &write.action {
        Action::Put(value) => ("put", value),
        Action::Delete => ("delete", &[]),
        Action::Add(by) => ("add", &by.to_be_bytes()),
    };
    let digest =
        Sha256::new().chain_update(&write.key).chain_update([0]).chain_update(verb).chain_update(bytes);
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_write_is_about_is_its_record_and_what_it_does() {
        let write = |key: &str, action| Write {
            key: key.into(),
            action,
            condition: Condition::Always,
            request: None,
        };
        let one = about(&write("a", Action::Add(50)));
        assert_eq!(one, about(&write("a", Action::Add(50))));
        for other in [write("b", Action::Add(50)), write("a", Action::Add(5)), write("a", Action::Delete)] {
            assert_ne!(one, about(&other));
        }
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"key\":\"a\",\"value\":\"1\"}\n\nnonsense\n").unwrap();
        let error = imported(file.path()).unwrap_err();
        assert!(error.to_string().contains("line 3 is no"), "{error}");
    }
}
