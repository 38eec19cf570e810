//! The nodes of the database under test: starting them, stopping them, and finding the primary.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use indexmap::IndexMap;
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::sleep;

use super::act;
use super::call::{self, Call};
use super::clients::Clients;
use super::ledger::Ledger;
use super::stage::{Act, Who};
use super::writers::Writers;
use crate::act::Stop;
use crate::field::{Place, free};
use crate::ground::{Ground, Traces, explained};
use crate::processes::Group;
use crate::stage::Stage;

/// How long all nodes may take from their start until they report that they are healthy.
const WELL_MAX: Duration = Duration::from_secs(10);
/// How long it may take until there is a single primary.
const PRIMARY_MAX: Duration = Duration::from_secs(8);
/// How long an address may take to become free after its process was killed.
const FREE_MAX: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const STATUS_MAX: Duration = Duration::from_millis(500);
/// The secret that all nodes of a cluster share.
const SECRET: &str = "known to all nodes of a grade";
/// The number of log lines shown for each node.
const SAID_LINES: usize = 3;

/// The nodes, and the state of the checks on their database.
#[derive(Debug)]
pub struct Cluster {
    /// The equivalent commands of all acts so far.
    pub(super) did: Vec<String>,
    /// The acknowledged writes.
    pub(super) ledger: Arc<Mutex<Ledger>>,
    /// The stored `ETag`s, by name.
    pub(super) tags: IndexMap<String, String>,
    /// The background writers.
    pub(super) writers: Option<Writers>,
    /// The background clients whose history is judged.
    pub(super) clients: Option<Clients>,
    nodes: Vec<Node>,
    machine: PathBuf,
    program: PathBuf,
}

/// Whether a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Frozen,
    Off,
}

#[derive(Debug)]
struct Node {
    name: String,
    listen: SocketAddr,
    flags: Vec<String>,
    log: PathBuf,
    process: Option<Group>,
    state: State,
    waited: Duration,
}

/// The fields of `GET /status` that a grade reads.
#[derive(Debug, Deserialize)]
struct Status {
    role: String,
    #[serde(default)]
    term: u64,
}

impl Cluster {
    fn plan(place: &Place, number: usize, stage: &Stage<Act>, program: &Path) -> anyhow::Result<Self> {
        let count = u8::try_from(stage.servers).context("a stage has a few nodes")?;
        let data = place.logs.join(format!("stage-{number}.data"));
        // A repeated stage begins without data.
        let _ = std::fs::remove_dir_all(&data);
        std::fs::create_dir_all(&data).with_context(|| format!("make {}", data.display()))?;
        let secret = data.join("secret");
        std::fs::write(&secret, SECRET).with_context(|| format!("write {}", secret.display()))?;
        let peer = |node: u8| place.address(number, node, 7101);
        let node = |own: u8| {
            let (name, listen) = (format!("db-{own}"), place.address(number, own, 7001));
            let directory = data.join(&name).display().to_string();
            let mut flags = vec![("id".to_owned(), name.clone()), ("listen".into(), listen.to_string())];
            flags.push(("data".into(), directory));
            if count > 1 {
                flags.push(("peer-listen".into(), peer(own).to_string()));
                let others = (1..=count).filter(|other| *other != own);
                flags.extend(others.map(|other| ("peer".into(), format!("db-{other}={}", peer(other)))));
                flags.push(("secret-file".into(), secret.display().to_string()));
            }
            flags.extend(stage.flags.clone());
            let flags = flags.into_iter().flat_map(|(name, value)| [format!("--{name}"), value]).collect();
            let log = place.logs.join(format!("stage-{number}-{name}.log"));
            Node { name, listen, flags, log, process: None, state: State::Off, waited: Duration::ZERO }
        };
        Ok(Self {
            did: vec![],
            ledger: Arc::default(),
            tags: IndexMap::new(),
            writers: None,
            clients: None,
            nodes: (1..=count).map(node).collect(),
            machine: place.machine.clone(),
            program: program.to_owned(),
        })
    }

    /// Returns the addresses of all nodes.
    pub(super) fn addresses(&self) -> Arc<[SocketAddr]> {
        self.nodes.iter().map(|node| node.listen).collect()
    }

    /// Returns the addresses of the nodes that are neither off nor frozen.
    pub(super) fn running(&self) -> Vec<SocketAddr> {
        self.listening(State::Running)
    }

    /// Returns the addresses of the frozen nodes.
    pub(super) fn frozen(&self) -> Vec<SocketAddr> {
        self.listening(State::Frozen)
    }

    fn listening(&self, state: State) -> Vec<SocketAddr> {
        self.nodes.iter().filter(|node| node.state == state).map(|node| node.listen).collect()
    }

    /// Returns the name of the node at this address.
    pub(super) fn name_of(&self, address: SocketAddr) -> &str {
        self.nodes.iter().find(|node| node.listen == address).map_or("a node", |node| &node.name)
    }

    /// Waits until one of the healthy nodes says that it is the primary, and returns its address.
    pub(super) async fn primary(&self) -> Result<SocketAddr, Stop> {
        if let [only] = &self.nodes[..] {
            return Ok(only.listen);
        }
        let deadline = Instant::now() + PRIMARY_MAX;
        loop {
            let mut found: Vec<(u64, SocketAddr)> = Vec::new();
            for address in self.running() {
                let status = status(address).await.filter(|status| status.role == "primary");
                found.extend(status.map(|status| (status.term, address)));
            }
            if let Some((_, address)) = found.into_iter().max() {
                return Ok(address);
            }
            if Instant::now() > deadline {
                let sentence =
                    format!("no node's GET /status says \"role\": \"primary\" after {PRIMARY_MAX:?}");
                return Err(Stop::Failed(sentence));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Returns the address of the node that an act refers to.
    pub(super) async fn find(&self, who: Who) -> Result<SocketAddr, Stop> {
        let primary = self.primary().await?;
        match who {
            Who::Primary => Ok(primary),
            Who::Replica => self.running().into_iter().find(|address| *address != primary).ok_or_else(|| {
                Stop::Broken(anyhow::anyhow!("the stage's file asks for a replica where none is left"))
            }),
        }
    }

    /// Kills a node and all processes that it has started.
    pub(super) async fn kill(&mut self, address: SocketAddr) {
        let Some(node) = self.nodes.iter_mut().find(|node| node.listen == address) else { return };
        if let Some(process) = &mut node.process {
            self.did.push(format!("kill -9 {}    # {}", process.pid(), node.name));
            node.waited += process.waited();
            process.kill().await;
        }
        node.process = None;
        node.state = State::Off;
    }

    /// Freezes a node and all processes that it has started.
    pub(super) fn freeze(&mut self, address: SocketAddr) {
        let Some(node) = self.nodes.iter_mut().find(|node| node.listen == address) else { return };
        if let Some(process) = &node.process {
            self.did.push(format!("kill -STOP {}    # {}", process.pid(), node.name));
            process.signal_all(Signal::SIGSTOP);
            node.state = State::Frozen;
        }
    }

    /// Resumes the frozen nodes.
    pub(super) fn thaw(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| node.state == State::Frozen) {
            if let Some(process) = &node.process {
                self.did.push(format!("kill -CONT {}    # {}", process.pid(), node.name));
                process.signal_all(Signal::SIGCONT);
            }
            node.state = State::Running;
        }
    }

    /// Starts the nodes that are off, and waits until all report that they are healthy.
    pub(super) async fn start_nodes(&mut self) -> anyhow::Result<Result<(), String>> {
        for node in self.nodes.iter_mut().filter(|node| node.state == State::Off) {
            is_free_soon(node.listen).await?;
            self.did.push(format!("{} {} &", self.program.display(), node.flags.join(" ")));
            node.process = Some(Group::start(&self.machine, &self.program, &node.flags, &node.log)?);
            node.state = State::Running;
        }
        let deadline = Instant::now() + WELL_MAX;
        for node in self.nodes.iter_mut().filter(|node| node.state == State::Running) {
            let Some(process) = &mut node.process else { continue };
            if let Err(sentence) = process.listens_at(node.listen).await {
                return Ok(Err(format!("{}: {sentence}", node.name)));
            }
            let healthz = Call { method: "GET", path: "/healthz".into(), ..Call::default() };
            loop {
                let answered = call::send(node.listen, &healthz, STATUS_MAX).await;
                if answered.as_ref().is_ok_and(|answered| answered.status == 200) {
                    break;
                }
                if Instant::now() > deadline {
                    let was = answered
                        .map_or_else(|error| format!("{error:#}"), |answered| answered.status.to_string());
                    let sentence = format!(
                        "{}: GET /healthz is not answered 200 {WELL_MAX:?} after the start: {was}",
                        node.name
                    );
                    return Ok(Err(sentence));
                }
                sleep(LOOK_EVERY).await;
            }
        }
        Ok(Ok(()))
    }

    /// Returns what a node did of its own accord that no node may do.
    async fn misbehaviour(&mut self, has_failed: bool) -> Option<String> {
        for node in self.nodes.iter_mut().filter(|node| node.state == State::Running) {
            let own = node.process.as_mut()?.misbehaviour(has_failed).await;
            if let Some(own) = own {
                return Some(format!("{}: {own}", node.name));
            }
        }
        None
    }
}

impl Ground for Cluster {
    type Act = Act;

    async fn start(
        place: &Place,
        number: usize,
        stage: &Stage<Act>,
        program: &Path,
    ) -> anyhow::Result<Result<Self, (String, Self)>> {
        let mut cluster = Self::plan(place, number, stage, program)?;
        for node in &cluster.nodes {
            free(node.listen)?;
            std::fs::write(&node.log, "").with_context(|| format!("write {}", node.log.display()))?;
        }
        match cluster.start_nodes().await? {
            Ok(()) => Ok(Ok(cluster)),
            Err(sentence) => Ok(Err((sentence, cluster))),
        }
    }

    async fn carry_out(&mut self, _: usize, stage: &Stage<Act>) -> Option<Stop> {
        for act in &stage.steps {
            let done = act::carry_out(act, self).await;
            let own = self.misbehaviour(done.is_err()).await;
            if let Some(stop) = explained(done, own) {
                return Some(stop);
            }
        }
        None
    }

    fn traces(&self) -> Traces {
        let mut said = Vec::new();
        for node in &self.nodes {
            let text = std::fs::read(&node.log).unwrap_or_default();
            let text = String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned();
            let skipped = match self.nodes.len() {
                1 => 0,
                _ => text.lines().count().saturating_sub(SAID_LINES),
            };
            let named = |line: &str| match self.nodes.len() {
                1 => line.to_owned(),
                _ => format!("{}: {line}", node.name),
            };
            said.extend(text.lines().skip(skipped).map(named));
        }
        Traces { did: self.did.clone(), said: said.join("\n") }
    }

    /// The nodes wait at the same time, so the longest wait of any of them counts.
    fn waited(&self) -> Duration {
        let waited = |node: &Node| node.waited + node.process.as_ref().map(Group::waited).unwrap_or_default();
        self.nodes.iter().map(waited).max().unwrap_or_default()
    }

    async fn end(&mut self) {
        (self.writers, self.clients) = (None, None);
        for process in self.nodes.iter_mut().filter_map(|node| node.process.as_mut()) {
            process.kill().await;
        }
    }
}

async fn status(address: SocketAddr) -> Option<Status> {
    let call = Call { method: "GET", path: "/status".into(), ..Call::default() };
    let answered = call::send(address, &call, STATUS_MAX).await.ok()?;
    serde_json::from_slice(&answered.body).ok()
}

/// Waits until an address is free: children of a killed process may live a moment longer.
async fn is_free_soon(address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + FREE_MAX;
    loop {
        match free(address) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => sleep(LOOK_EVERY).await,
        }
    }
}
