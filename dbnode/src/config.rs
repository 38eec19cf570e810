//! The command line as written ([`Args`]), and as used ([`Config`]).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use machine::startup::StartupArgs;

/// The database: a durable key-value node.
///
/// An answer of 200 or 204 to a write means that it is on disk. Reads are served from memory.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "dbnode",
    version,
    after_help = "Example: dbnode --id db-1 --listen 127.0.0.1:7001 --data db-1.data"
)]
pub struct Args {
    /// What this node is called. Its data directory belongs to that name.
    #[arg(long, env = "DBNODE_ID", value_name = "NAME", value_parser = parse_id)]
    pub id: String,

    /// Where clients come in.
    #[arg(long, env = "DBNODE_LISTEN", default_value = "127.0.0.1:7001", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// The directory for its data. It is made when it is not there.
    #[arg(long, env = "DBNODE_DATA", value_name = "DIR")]
    pub data: PathBuf,

    /// Core time that each operation on a key takes of the machine.
    #[arg(long, env = "DBNODE_QUERY_COST", default_value = "0s", value_name = "DURATION")]
    pub query_cost: humantime::Duration,

    /// Each read of a record goes through the machine's page cache, one page a record, and waits
    /// for the disk when the page is not there.
    #[arg(long, env = "DBNODE_PAGE_READS")]
    pub page_reads: bool,

    /// Records to begin with: a file with one {"key": "…", "value": "…"} a line. Read when the
    /// data directory is new, and only then.
    #[arg(long, env = "DBNODE_IMPORT", value_name = "FILE")]
    pub import: Option<PathBuf>,

    /// Entries that the log may hold; when there are more, the older half is folded into the
    /// snapshot. A longer log costs time at the next start, a shorter one more work meanwhile.
    #[arg(long, env = "DBNODE_LOG_ENTRIES", default_value_t = 50_000, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(2..))]
    pub log_entries: u32,

    /// Logs and stopping.
    #[command(flatten)]
    pub startup: StartupArgs,
}

/// The command line, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// What this node is called.
    pub id: String,
    /// Where clients come in.
    pub listen: SocketAddr,
    /// The directory for its data.
    pub data: PathBuf,
    /// Core time that each operation on a key takes.
    pub query_cost: Duration,
    /// How reads reach a record.
    pub reads: Reads,
    /// Records to begin with.
    pub import: Option<PathBuf>,
    /// Entries that the log may hold before it is folded.
    pub log_entries: usize,
    /// How long requests in flight may take to finish after the stop.
    pub drain: Duration,
}

/// How reads reach a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// At no cost: it is in memory.
    FromMemory,
    /// Through the machine's page cache.
    ThroughPages,
}

impl From<Args> for Config {
    fn from(args: Args) -> Self {
        Self {
            id: args.id,
            listen: args.listen,
            data: args.data,
            query_cost: args.query_cost.into(),
            reads: if args.page_reads { Reads::ThroughPages } else { Reads::FromMemory },
            import: args.import,
            log_entries: usize::try_from(args.log_entries).expect("32 bits fit"),
            drain: args.startup.drain_timeout.into(),
        }
    }
}

/// It stands in headers and in file names of others.
fn parse_id(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("a name is 1 to 64 letters, digits, '-', '_' or '.'".into())
    }
}
