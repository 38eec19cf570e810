//! The live page of a running lab: it shows machines, wires, traffic and health as they are, and offers everything that
//! labctl can do. The process that keeps the lab serves it, on loopback.
//!
//! ```text
//!  browser <── state 5 Hz, events (SSE) ── stream <── desk <── sampler ── lab, programs
//!     └────────── POST /api/… ──────────> routes ───> desk ──> lab.act, traffics, visitors
//! ```
//!
//! State flows one way. A command is one request with one answer, which says what was done and gives the equivalent
//! command line. So everything can be done with curl as well.

// Decisions.
mod access;
mod deeds;
mod snapshot;
mod story;
mod topology;

// Requests, streams and files.
mod assets;
mod desk;
mod programs;
mod results;
mod routes;
mod run_log;
mod running;
mod sampler;
mod stream;
mod tables;
mod traffic;
mod visitors;

use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chapter::Source;
use indexmap::IndexMap;
use lab::error::LabError;
use lab::{Laboratory, Stack};
use load::{Recorder, StreamId};
use machine::network::{Accept, Network};
use machine::serving::{self, Limits};
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::desk::Desk;
pub use crate::results::{NoResults, Results, Shape, shape};
pub use crate::run_log::RunLog;
use crate::running::Running;
use crate::traffic::Traffics;
pub use crate::traffic::{ManualTraffic, RATE_MAX};

/// The page's default address.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7780);
/// The number of further ports to try if the wanted one is taken.
const PORTS: u16 = 20;
/// The connection limit. Browsers open six each: a class full of tabs is fine, a flood is not.
const CONNECTIONS: usize = 256;
/// The time that requests in flight get to finish when the lab ends.
const DRAIN: Duration = Duration::from_secs(1);

/// Returns the JSON Schema of `GET /api/state`, which is also that of the stream's `state`.
pub fn state_schema(generator: SchemaGenerator) -> Schema {
    generator.into_root_schema_for::<snapshot::Snapshot>()
}

/// A page that is being served.
#[derive(Debug)]
pub struct Page {
    found: Found,
    record: PathBuf,
    stop: CancellationToken,
    serving: Vec<JoinHandle<()>>,
}

/// The location of a lab's page, as other labctl processes find it in the lab's directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// The URL that logs a browser in.
    pub url: String,
    /// The address that it is served at.
    pub address: SocketAddr,
    /// The token that programs send as `Authorization: Bearer`.
    pub token: String,
}

/// The inputs of a page.
#[derive(Debug)]
pub struct Options {
    /// The chapter, as the lab was started from it.
    pub source: Source,
    /// The traffics that can be sent.
    pub traffics: Vec<ManualTraffic>,
    /// The command line that addresses this lab: `labctl`, with flags where they are needed.
    pub labctl: String,
    /// The lab's directory.
    pub directory: PathBuf,
    /// The run that sends the traffics, if the lab belongs to a run.
    pub run: Option<RunView>,
    /// The stored runs, for the screen that compares them.
    pub results: Arc<dyn Results>,
}

/// A run, as the page shows it.
#[derive(Debug)]
pub struct RunView {
    /// The record of its requests and their outcomes.
    pub recorder: Recorder,
    /// The streams of its traffics, by name.
    pub streams: IndexMap<String, StreamId>,
    /// Its event log.
    pub log: RunLog,
}

/// Binds a loopback address for the page: the wanted one, or the next port that is free.
pub async fn listen(wanted: SocketAddr) -> Result<Box<dyn Accept>, LabError> {
    check_address(wanted)?;
    let network = Network::tcp();
    let last = match wanted.port() {
        0 => 0,
        port => port.saturating_add(PORTS),
    };
    for port in wanted.port()..=last {
        match network.bind(SocketAddr::new(wanted.ip(), port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => {
                return Err(LabError::not_ready(format!("--page: cannot listen on {wanted}: {error}")));
            }
        }
    }
    Err(LabError::not_ready(format!(
        "--page: {wanted} and the next {PORTS} ports are taken; choose another port, or --no-page"
    )))
}

/// Refuses addresses that other computers could reach.
pub fn check_address(address: SocketAddr) -> Result<(), LabError> {
    match address.ip().is_loopback() {
        true => Ok(()),
        false => Err(LabError::Usage(format!(
            "--page {address}: the page can do everything that labctl can, so it is only served on loopback, such as {DEFAULT_ADDRESS}"
        ))),
    }
}

impl Page {
    /// Serves the page of a lab until [`Self::end`].
    pub fn serve(
        lab: &Arc<Laboratory>,
        listener: Box<dyn Accept>,
        options: Options,
    ) -> Result<Self, LabError> {
        let address = listener.local_address().context("find the page's address")?;
        Self::serve_running(Running::lab(lab), listener, address, options)
    }

    /// Serves the page of a stack that labctl does not keep, until [`Self::end`]. `published` is the address at which
    /// this computer's browsers reach it.
    pub fn serve_stack(
        stack: &Arc<Stack>,
        listener: Box<dyn Accept>,
        published: SocketAddr,
        options: Options,
    ) -> Result<Self, LabError> {
        Self::serve_running(Running::stack(stack), listener, published, options)
    }

    fn serve_running(
        lab: Running,
        listener: Box<dyn Accept>,
        address: SocketAddr,
        options: Options,
    ) -> Result<Self, LabError> {
        let access = Arc::new(Access::new(address, token(&options.directory)?));
        let found = Found { url: access.url(), address, token: access.token().into() };
        let record = record_file(&options.directory);
        let text = serde_json::to_vec_pretty(&found).map_err(anyhow::Error::from)?;
        write_secretly(&record, &text).with_context(|| format!("write {}", record.display()))?;
        let (origin, manual) = (lab.events.clock().origin, options.traffics.clone());
        let traffics = match &options.run {
            None => Traffics::new(manual, origin)?,
            Some(run) => Traffics::of_run(manual, run.recorder.clone(), &run.streams, origin),
        };
        let desk = Arc::new(Desk::new(lab, traffics, options));
        let stop = CancellationToken::new();
        let app = routes::app(Arc::clone(&desk), access, stop.clone());
        let limits = Limits { connections: CONNECTIONS, drain: DRAIN, ..Limits::default() };
        let serving = vec![
            tokio::spawn(serving::serve(listener, app, limits, stop.clone())),
            tokio::spawn(sampler::run(desk, stop.clone())),
        ];
        Ok(Self { found, record, stop, serving })
    }

    /// Returns where the page is served.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// Stops serving the page and stops its traffic.
    pub async fn end(self) {
        self.stop.cancel();
        for task in self.serving {
            let _ = task.await;
        }
        let _ = std::fs::remove_file(self.record);
    }
}

/// Finds the page of the lab in a directory, if it has one.
pub fn find(directory: &Path) -> Option<Found> {
    let text = std::fs::read(record_file(directory)).ok()?;
    serde_json::from_slice(&text).ok()
}

fn record_file(directory: &Path) -> PathBuf {
    directory.join("page.json")
}

/// Returns the token that all labs of a directory share: a tab that is left open finds the next lab.
fn token(directory: &Path) -> Result<String, LabError> {
    let path = directory.join("page-token");
    match std::fs::read_to_string(&path) {
        Ok(token) if is_token(token.trim()) => return Ok(token.trim().to_owned()),
        _ => {}
    }
    let token = hex::encode(rand::random::<[u8; 16]>());
    write_secretly(&path, token.as_bytes()).with_context(|| format!("write {}", path.display()))?;
    Ok(token)
}

fn is_token(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Replaces a file with one that only its owner can read.
fn write_secretly(path: &Path, text: &[u8]) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_served() {
        assert!(check_address("127.0.0.1:7780".parse().unwrap()).is_ok());
        assert!(check_address("[::1]:0".parse().unwrap()).is_ok());
        for open in ["0.0.0.0:7780", "192.168.1.2:7780", "[::]:7780"] {
            let refused = check_address(open.parse().unwrap()).unwrap_err();
            assert_eq!(refused.code(), 2, "{open}");
        }
    }

    #[test]
    fn the_next_lab_of_a_directory_has_the_same_token_and_nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let directory = std::env::temp_dir().join(format!("page-token-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let first = token(&directory).unwrap();
        assert_eq!(token(&directory).unwrap(), first);
        let mode = std::fs::metadata(directory.join("page-token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(directory.join("page-token"), "short").unwrap();
        assert_ne!(token(&directory).unwrap(), first);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
