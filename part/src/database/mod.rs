//! A database's side of the contract, for whichever program is driven: HTTP outside, a [`Store`] inside.

mod api;
mod documents;

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

/// What is driven, as the contract sees it.
pub(crate) trait Store: Send + Sync + 'static {
    /// A record.
    fn get(&self, key: &str, read: Read) -> impl Future<Output = Result<Option<Record>, Refusal>> + Send;

    /// A write, all of it or nothing.
    fn write(&self, write: Write) -> impl Future<Output = Result<Written, Refusal>> + Send;

    /// Records in the order of their keys, and one more than the limit where there is one more.
    fn list(&self, list: List) -> impl Future<Output = Result<Vec<(String, Record)>, Refusal>> + Send;

    /// What the node says of itself. `None`: its program does not answer.
    fn status(&self) -> impl Future<Output = Option<Status>> + Send;
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// What was put.
    pub(crate) value: Bytes,
    /// Which write put it.
    pub(crate) version: Version,
}

/// Which records are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List {
    /// How fresh.
    pub(crate) read: Read,
    /// Only keys that begin with this.
    pub(crate) prefix: String,
    /// Only keys after this one.
    pub(crate) after: String,
    /// At most so many.
    pub(crate) limit: usize,
}

/// What a write does.
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
    /// Of which record.
    pub(crate) key: String,
    /// What it does.
    pub(crate) action: Action,
    /// When it may.
    pub(crate) condition: Condition,
    /// The client's own name for it: under the same name it happens once.
    pub(crate) request: Option<String>,
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// The record's value, after an addition.
    pub(crate) sum: Option<i64>,
    /// The record's version.
    pub(crate) version: Version,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The condition does not hold.
    #[error("the record is not what the condition says")]
    Conflict,
    /// It cannot be added to.
    #[error("the record is not a number, or too large a one")]
    NotANumber,
    /// The sum is too large.
    #[error("the sum does not fit 64 bits")]
    Overflow,
    /// The name was another write's.
    #[error("this Idempotency-Key was another write's")]
    RequestReused,
    /// Another node can do it.
    #[error("'{name}' is the primary")]
    NotPrimary {
        /// What it is called.
        name: String,
        /// Where clients reach it: `HOST:PORT`.
        at: String,
    },
    /// Nobody is known who can do it.
    #[error("no primary is known: {0}")]
    NoPrimary(String),
    /// It surely did not happen.
    #[error("{0}")]
    NotWritten(String),
    /// It may have happened, or may yet.
    #[error("{0}")]
    OutcomeUnknown(String),
    /// A read that could not be made.
    #[error("{0}")]
    NotConfirmed(String),
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Status {
    /// `primary` or `replica`.
    pub(crate) role: &'static str,
    /// The election it knows of last.
    pub(crate) term: u64,
    /// The primary's name, where one is known.
    pub(crate) primary: Option<String>,
    /// The end of its log.
    pub(crate) last_index: u64,
    /// What its readers see of it.
    pub(crate) applied_index: u64,
}

/// A record to begin with, as a line of the file has it.
#[derive(Debug, Deserialize)]
pub(crate) struct Imported {
    /// Its key.
    pub(crate) key: String,
    /// Its value.
    pub(crate) value: String,
}

/// The flags, read and checked, and what every adapter needs of them.
pub(crate) struct Node {
    /// The flags.
    pub(crate) config: Config,
    /// The members of the database, this one among them, in the order of their names.
    pub(crate) members: Vec<String>,
    /// The secret that they share.
    pub(crate) secret: Option<String>,
    /// When a write is acknowledged. A node that is alone waits for nobody.
    pub(crate) mode: Mode,
    /// Whether it is fit, and its counters.
    pub(crate) vitals: Arc<Vitals>,
    /// Ends when this process should.
    pub(crate) stop: CancellationToken,
    machine: Machine,
}

impl Node {
    /// Reads the flags.
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

    /// Whether it is the member that the database begins with.
    pub(crate) fn is_first(&self) -> bool {
        self.members.first() == Some(&self.config.id)
    }

    /// Where this node reaches the others: through the lab's links, where there are any.
    pub(crate) fn way_to(&self, member: &str) -> Option<&str> {
        let mut peers = self.config.cluster.iter().flat_map(|cluster| &cluster.peers);
        peers.find(|peer| &*peer.name == member).map(|peer| peer.address.as_str())
    }

    /// The address that other members reach its program at, and a port for one that is alone.
    pub(crate) fn program_listens(&self, port_if_alone: u16) -> std::net::SocketAddr {
        match &self.config.cluster {
            Some(cluster) => cluster.listen,
            None => (self.config.listen.ip(), port_if_alone).into(),
        }
    }

    /// Where clients reach this node.
    pub(crate) fn advertised(&self) -> String {
        self.config.advertise.clone().unwrap_or_else(|| self.config.listen.to_string())
    }

    /// The records to begin with.
    pub(crate) fn imported(&self) -> anyhow::Result<Vec<Imported>> {
        self.config.import.as_deref().map_or(Ok(vec![]), imported)
    }

    /// Serves the contract until it is told to stop, or the program ends, which is an error. The program is then
    /// ended as well.
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
        let ended = tokio::select! {
            ended = program.child.wait() => Some(ended),
            () = stop.cancelled() => None,
        };
        if let Some(ended) = ended {
            return Err(child::how(program.title, ended));
        }
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

/// Stands for what a write does, so that a name that is used for another one is noticed.
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
