//! The command line as written ([`Args`]), and as used ([`Config`]).

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use machine::startup::StartupArgs;

use crate::peers::{Peer, Secret};
use crate::replication::durability::Mode;

/// The database: a replicated, durable key-value store.
///
/// A write that is answered 200 or 204 is on as many disks as the mode promises. Reads are served from memory.
/// Without --peer it is a single node.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "dbnode",
    version,
    after_help = "Examples:
  dbnode --id db-1 --listen 127.0.0.1:7001 --data db-1.data
  dbnode --id db-1 --listen 127.0.0.1:7001 --data db-1.data --replication quorum --secret-file secret \\
    --peer-listen 127.0.0.1:7101 --peer db-2=127.0.0.1:7102 --peer db-3=127.0.0.1:7103"
)]
pub struct Args {
    /// Name of this node. Its data directory belongs to that name.
    #[arg(long, env = "DBNODE_ID", value_name = "NAME", value_parser = parse_id)]
    pub id: String,

    /// Address to accept clients on.
    #[arg(long, env = "DBNODE_LISTEN", default_value = "127.0.0.1:7001", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// Directory for its data; created if it does not exist.
    #[arg(long, env = "DBNODE_DATA", value_name = "DIR")]
    pub data: PathBuf,

    /// Address at which clients reach this node; the other nodes give it to clients that look for the primary.
    /// [default: --listen]
    #[arg(long, env = "DBNODE_ADVERTISE", value_name = "HOST:PORT", value_parser = parse_address)]
    pub advertise: Option<String>,

    /// Another member of the cluster, and the address at which it listens for its peers; repeat for each one.
    #[arg(long = "peer", env = "DBNODE_PEERS", value_name = "NAME=HOST:PORT", value_delimiter = ',', value_parser = parse_peer)]
    pub peers: Vec<Peer>,

    /// Address to accept peers on.
    #[arg(long, env = "DBNODE_PEER_LISTEN", value_name = "ADDRESS:PORT")]
    pub peer_listen: Option<SocketAddr>,

    /// When a write is acknowledged: `async` when it is on the primary's disk, `quorum` when it is on the disks
    /// of a majority, `sync` when it is on every member's disk and every member shows it. The same for all
    /// members.
    #[arg(long, env = "DBNODE_REPLICATION", value_name = "MODE", default_value = "quorum",
          value_parser = parse_mode)]
    pub replication: Mode,

    /// File with a secret that all members share, at least 16 bytes.
    #[arg(long, env = "DBNODE_SECRET_FILE", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,

    /// Minimum time without a heartbeat before a replica asks for an election; the maximum is twice that.
    #[arg(long, env = "DBNODE_ELECTION_TIMEOUT", default_value = "600ms", value_name = "DURATION",
          value_parser = parse_election_timeout)]
    pub election_timeout: humantime::Duration,

    /// Emulated CPU time of each operation on a key.
    #[arg(long, env = "DBNODE_QUERY_COST", default_value = "0s", value_name = "DURATION")]
    pub query_cost: humantime::Duration,

    /// Read each record through the machine's page cache, one page per record, and wait for the disk if the
    /// page is not cached.
    #[arg(long, env = "DBNODE_PAGE_READS")]
    pub page_reads: bool,

    /// File with initial records, one {"key": "…", "value": "…"} per line. Read only when the data directory is
    /// new, and in a cluster only by the member whose name comes first; the others get the records from it.
    #[arg(long, env = "DBNODE_IMPORT", value_name = "FILE")]
    pub import: Option<PathBuf>,

    /// Entries that the log may hold; beyond that, the older half is compacted into the snapshot. A longer log
    /// makes the next start slower; a shorter one is compacted more often.
    #[arg(long, env = "DBNODE_LOG_ENTRIES", default_value_t = 50_000, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(2..))]
    pub log_entries: u32,

    /// Minimum time for which an Idempotency-Key is remembered: a write that is retried with the same key within this
    /// time takes effect once. The same for all members.
    #[arg(long, env = "DBNODE_IDEMPOTENCY_WINDOW", default_value = "60s", value_name = "DURATION",
          value_parser = parse_window)]
    pub idempotency_window: humantime::Duration,

    /// Logs and stopping.
    #[command(flatten)]
    pub startup: StartupArgs,
}

/// The validated configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name.
    pub id: String,
    /// The address to accept clients on.
    pub listen: SocketAddr,
    /// The data directory.
    pub data: PathBuf,
    /// The address at which clients reach this node, as announced by the other nodes: `host:port`.
    pub advertise: Option<String>,
    /// The rest of the cluster; `None` for a single node.
    pub cluster: Option<Cluster>,
    /// Emulated CPU time of each operation on a key.
    pub query_cost: Duration,
    /// How reads reach a record.
    pub reads: Reads,
    /// A file with initial records.
    pub import: Option<PathBuf>,
    /// Maximum length of the log, in entries, before it is compacted.
    pub log_entries: usize,
    /// The minimum time for which an Idempotency-Key is remembered.
    pub idempotency_window: Duration,
    /// How long requests in flight may take to finish during a shutdown.
    pub drain: Duration,
}

/// How reads reach a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// From memory, at no cost.
    FromMemory,
    /// Through the machine's page cache.
    ThroughPages,
}

/// A node's place in its cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The other members.
    pub peers: Vec<Peer>,
    /// The address to accept peers on.
    pub listen: SocketAddr,
    /// The secret shared by all members.
    pub secret: Secret,
    /// What an acknowledged write survives.
    pub mode: Mode,
    /// The minimum election timeout.
    pub election_timeout: Duration,
}

/// An invalid combination of flags.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A flag is missing that another one requires.
    #[error("--peer requires {0}")]
    Missing(&'static str),
    /// A flag has no meaning without another one.
    #[error("{0} requires --peer")]
    Alone(&'static str),
    /// Two members have the same name.
    #[error("--peer {0}: this name is taken; give each node its own name")]
    Twice(String),
    /// The secret cannot be used.
    #[error("--secret-file {path}: {what}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl TryFrom<Args> for Config {
    type Error = ConfigError;

    fn try_from(args: Args) -> Result<Self, ConfigError> {
        Ok(Self {
            cluster: cluster(&args)?,
            id: args.id,
            listen: args.listen,
            advertise: args.advertise,
            data: args.data,
            query_cost: args.query_cost.into(),
            reads: if args.page_reads { Reads::ThroughPages } else { Reads::FromMemory },
            import: args.import,
            log_entries: usize::try_from(args.log_entries).expect("32 bits fit"),
            idempotency_window: args.idempotency_window.into(),
            drain: args.startup.drain_timeout.into(),
        })
    }
}

impl Config {
    /// The host names by which clients may address this node, including those of its peers, for
    /// clients that were redirected.
    pub fn host_names(&self) -> Vec<String> {
        let peers = self.cluster.iter().flat_map(|cluster| &cluster.peers);
        let names = peers.clone().map(|peer| peer.name.to_string());
        let addresses = peers.map(|peer| &peer.address).chain(&self.advertise);
        let hosts = addresses.filter_map(|address| Some(address.rsplit_once(':')?.0.to_owned()));
        names.chain(hosts).chain([self.id.clone()]).collect()
    }
}

fn cluster(args: &Args) -> Result<Option<Cluster>, ConfigError> {
    if args.peers.is_empty() {
        return match (&args.peer_listen, &args.secret_file) {
            (None, None) => Ok(None),
            (Some(_), _) => Err(ConfigError::Alone("--peer-listen")),
            (_, Some(_)) => Err(ConfigError::Alone("--secret-file")),
        };
    }
    let listen = args.peer_listen.ok_or(ConfigError::Missing("--peer-listen"))?;
    let path = args.secret_file.clone().ok_or(ConfigError::Missing("--secret-file"))?;
    let mut names = BTreeSet::from([args.id.as_str()]);
    if let Some(twice) = args.peers.iter().find(|peer| !names.insert(&peer.name)) {
        return Err(ConfigError::Twice(twice.name.to_string()));
    }
    let text = fs::read_to_string(&path).map_err(|error| error.to_string());
    let secret = text.and_then(|text| Secret::new(&text));
    let secret = secret.map_err(|what| ConfigError::Secret { path, what })?;
    let (mode, election_timeout) = (args.replication, args.election_timeout.into());
    Ok(Some(Cluster { peers: args.peers.clone(), listen, secret, mode, election_timeout }))
}

fn parse_peer(text: &str) -> Result<Peer, String> {
    let (name, address) = text.split_once('=').ok_or("a peer is written NAME=HOST:PORT")?;
    Ok(Peer { name: parse_id(name)?.into(), address: parse_address(address)? })
}

/// Parses a host, by name or address, and a port. Names are resolved when they are used.
fn parse_address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
    match port.map(str::parse::<u16>) {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err("an address is written HOST:PORT".into()),
    }
}

fn parse_mode(text: &str) -> Result<Mode, String> {
    match text {
        "async" | "merge" => Ok(Mode::Async),
        "quorum" => Ok(Mode::Quorum),
        "sync" | "transactional" => Ok(Mode::Sync),
        _ => Err("the modes are async (or merge), quorum, and sync (or transactional)".into()),
    }
}

fn parse_election_timeout(text: &str) -> Result<humantime::Duration, String> {
    let timeout: humantime::Duration =
        text.parse().map_err(|error: humantime::DurationError| error.to_string())?;
    match Duration::from(timeout).as_millis() {
        100..=60_000 => Ok(timeout),
        _ => Err("an election timeout is between 100ms and 60s".into()),
    }
}

fn parse_window(text: &str) -> Result<humantime::Duration, String> {
    let window: humantime::Duration =
        text.parse().map_err(|error: humantime::DurationError| error.to_string())?;
    match Duration::from(window).as_secs() {
        1..=86_400 => Ok(window),
        _ => Err("an idempotency window is between 1s and 24h".into()),
    }
}

/// Parses a node's name. Names occur in headers, and in file names of other programs.
fn parse_id(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("a name is 1 to 64 letters, digits, '-', '_' or '.'".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_documented() {
        let flags = documented::flags(&<Args as clap::CommandFactory>::command());
        documented::check_table("docs/contract.md", "flags of dbnode", &flags);
    }
}
