//! A running node, from start to drain.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::service::service_fn;
use machine::Machine;
use machine::network::{Accept, Network};
use machine::serving;
use machine::vitals::Vitals;
use tokio_util::sync::CancellationToken;

use crate::api::{About, Api};
use crate::config::{Cluster, Config, Reads};
use crate::metrics::{Metrics, RoleState};
use crate::node::{Halted, Node, node};
use crate::peers::{Agreement, Directory, Identity, Peers};
use crate::replication::disk::Recovered;
use crate::replication::durability::Mode;
use crate::replication::life::Starts;
use crate::replication::member::{Incarnation, Name};
use crate::replication::{Core, Limits, Setup, Timing};
use crate::storage::disk::{self, OpenError};

/// File descriptors reserved for the other members (up to 64 connections), the log, the snapshot,
/// and name resolution.
const FILES_RESERVED: u64 = 128;

/// Maximum size of a request's headers, in bytes: a key takes 512, or three times that when
/// percent-encoded.
const HEADER_BYTES: usize = 32 * 1024;

/// A node that has read its data and listens.
pub struct Server {
    listener: Box<dyn Accept>,
    address: SocketAddr,
    peer_address: Option<SocketAddr>,
    api: Arc<Api>,
    node: Node,
    driver: BoxFuture<'static, Result<(), Halted>>,
    stop_driver: CancellationToken,
    limits: serving::Limits,
    hand_over_limit: Duration,
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(OpenError),
    /// The data directory is damaged.
    #[error("{damage}; {advice}")]
    Damaged {
        /// What is damaged, and how.
        damage: OpenError,
        /// What to do.
        advice: &'static str,
    },
    /// The data directory names other members than the flags.
    #[error(
        "the data in --data belongs to a cluster of {found}, and --id and --peer name {wanted}; start it with the members it had, or with a new data directory"
    )]
    Members {
        /// The members that the data names.
        found: String,
        /// The members that the flags name.
        wanted: String,
    },
    /// An address cannot be used.
    #[error("cannot listen on {address}; is another process using it? choose another one with {flag}")]
    Listen {
        /// The address it wanted to listen on.
        address: SocketAddr,
        /// The flag that sets the address.
        flag: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

/// Why a node has stopped working.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It can no longer guarantee anything.
    #[error(transparent)]
    Halted(#[from] Halted),
    /// It has a bug.
    #[error(transparent)]
    Bug(#[from] Bug),
}

/// The node panicked: it reached a state that should be impossible, and has reported it.
#[derive(Debug, thiserror::Error)]
#[error("the node has stopped because of a bug in it")]
pub struct Bug;

/// Starts a node: reads its data, and binds its addresses.
pub async fn start(
    config: Config,
    machine: Machine,
    network: Network,
    vitals: Arc<Vitals>,
) -> Result<Server, StartError> {
    let opened = disk::open(&config.data, &config.id, to_import(&config)).await;
    let (storage, recovered) = opened.map_err(|error| data_error(error, config.cluster.is_some()))?;
    let (incarnation, log) = (storage.incarnation(), storage.log_usage());
    let setup = setup(&config, incarnation, storage.starts().clone());
    check_members(&setup, &recovered)?;
    let metrics = Metrics::new(&vitals);
    let hand_over_limit = setup.timing.election_timeout * 2;
    let mode = config.cluster.as_ref().map(|cluster| cluster.mode);
    let agreement = agreement(&setup);
    let (node, driver) = node(setup, recovered, storage, machine.clone(), metrics.clone());
    vitals.register_collector(RoleState(node.clone()));
    if config.reads == Reads::ThroughPages {
        machine.warm(0..node.inspect(|core, _| core.state().pages()));
    }
    let listener = listen(&network, config.listen, "--listen").await?;
    let address = listener.local_address().map_err(listen_error(config.listen, "--listen"))?;
    let directory = Directory::default();
    let stop_driver = CancellationToken::new();
    let (peers, peer_address) = match config.cluster.clone() {
        None => (Peers::none(), None),
        Some(Cluster { peers, listen: peer_listen, secret, .. }) => {
            let listener = listen(&network, peer_listen, "--peer-listen").await?;
            let peer_address =
                listener.local_address().map_err(listen_error(peer_listen, "--peer-listen"))?;
            let advertised = config.advertise.clone().unwrap_or_else(|| address.to_string());
            let life = node.inspect(|core, _| Arc::clone(core.life()));
            let (name, agreement) = (config.id.as_str().into(), agreement);
            let identity = Identity { name, life, agreement, advertised, secret };
            let asked = node.clone();
            let cluster = Arc::new(move || asked.inspect(|core, _| core.membership().map(|it| it.cluster)));
            let stop = stop_driver.clone();
            let (known, steps) = (directory.clone(), metrics.steps.clone());
            let peers = Peers::open(identity, peers, listener, network, cluster, known, steps, stop);
            (peers, Some(peer_address))
        }
    };
    tracing::info!(id = config.id, %address, records = node.inspect(|core, _| core.state().len()), "serving");
    let limits = serving::Limits {
        files_reserved: FILES_RESERVED,
        header_bytes: HEADER_BYTES,
        drain: config.drain,
        ..serving::Limits::default()
    };
    let about = About { incarnation, mode, directory, log };
    let api = Arc::new(Api::new(config, about, node.clone(), machine, vitals, metrics));
    let driver = Box::pin(driver.run(peers, stop_driver.clone()));
    Ok(Server { listener, address, peer_address, api, node, driver, stop_driver, limits, hand_over_limit })
}

/// Adds advice on damage, which depends on whether other members have all the data.
fn data_error(error: OpenError, is_member: bool) -> StartError {
    let advice = match is_member {
        true => {
            "move the data directory away and start this node again: the other members fill an empty one. Do not restore it from a copy: what this node confirmed since then would be missing"
        }
        false => "restore the data directory from a copy, or move it away to start empty",
    };
    match error {
        damage @ OpenError::Damaged { .. } => StartError::Damaged { damage, advice },
        error => StartError::Data(error),
    }
}

/// The file to import if the data directory is new. All members of a cluster must begin with the
/// same records, so only one of them imports: the first by name, which forms the cluster.
fn to_import(config: &Config) -> Option<&Path> {
    let file = config.import.as_deref()?;
    let peers = config.cluster.iter().flat_map(|cluster| &cluster.peers);
    match peers.map(|peer| &*peer.name).filter(|peer| **peer < *config.id).min() {
        None => Some(file),
        Some(first) => {
            tracing::info!(
                "--import is ignored here: '{first}', the first member by name, imports the file, and this node gets the records from it"
            );
            None
        }
    }
}

/// The settings that all members must share.
fn agreement(setup: &Setup) -> Agreement {
    Agreement {
        mode: setup.mode,
        names_kept: setup.limits.names_kept,
        log_entries: setup.limits.log_entries,
        election_timeout: setup.timing.election_timeout,
    }
}

fn setup(config: &Config, incarnation: Incarnation, starts: Starts) -> Setup {
    let name: Name = config.id.as_str().into();
    let cluster = config.cluster.as_ref();
    let others = cluster.into_iter().flat_map(|cluster| cluster.peers.iter().map(|peer| peer.name.clone()));
    let timing = cluster.map(|cluster| Timing { election_timeout: cluster.election_timeout });
    Setup {
        members: others.chain([name.clone()]).collect(),
        name,
        incarnation,
        starts,
        mode: cluster.map_or(Mode::Quorum, |cluster| cluster.mode),
        limits: Limits {
            log_entries: config.log_entries,
            names_kept: config.idempotency_window,
            ..Limits::default()
        },
        timing: timing.unwrap_or_default(),
        seed: rand::random(),
    }
}

/// Checks that the flags name the same members as the data. Other members would form other
/// majorities.
fn check_members(setup: &Setup, recovered: &Recovered) -> Result<(), StartError> {
    let core = Core::new(setup.clone(), recovered.clone(), crate::replication::input::Moment::default());
    let Some(membership) = core.membership() else { return Ok(()) };
    let wanted: BTreeMap<_, _> = setup.members.iter().map(|name| (name.clone(), ())).collect();
    if membership.members.keys().eq(wanted.keys()) {
        return Ok(());
    }
    let list = |names: Vec<&Name>| names.iter().map(|name| &***name).collect::<Vec<_>>().join(", ");
    let found = list(membership.members.keys().collect());
    Err(StartError::Members { found, wanted: list(wanted.keys().collect()) })
}

async fn listen(
    network: &Network,
    address: SocketAddr,
    flag: &'static str,
) -> Result<Box<dyn Accept>, StartError> {
    network.bind(address).await.map_err(listen_error(address, flag))
}

fn listen_error(address: SocketAddr, flag: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::Listen { address, flag, source }
}

impl Server {
    /// The address for clients.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address for the other members; `None` for a single node.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer_address
    }

    /// Serves until `stop`, then hands over leadership and lets requests in flight finish (drain);
    /// or until the disk fails.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let (stop_serving, api, node) = (CancellationToken::new(), self.api, self.node);
        let service = service_fn(move |request| {
            let api = Arc::clone(&api);
            async move { api.answer(request).await }
        });
        let mut driving = tokio::spawn(self.driver);
        let is_alone = self.peer_address.is_none();
        let serving = async {
            // A single node becomes the primary at once; clients that connect earlier wait for
            // that.
            if is_alone {
                node.wait_for(Core::is_settled).await;
            }
            serving::serve_service(self.listener, service, self.limits, stop_serving.clone()).await;
        };
        let draining = async {
            stop.cancelled().await;
            node.hand_over(self.hand_over_limit).await;
            stop_serving.cancel();
        };
        let serving = async { tokio::join!(serving, draining) };
        tokio::pin!(serving);
        tokio::select! {
            _ = &mut serving => {
                self.stop_driver.cancel();
                Ok(driving.await.map_err(|_| Bug)??)
            }
            halted = &mut driving => {
                // Waiting clients are answered; then the listener closes.
                stop.cancel();
                stop_serving.cancel();
                serving.await;
                Ok(halted.map_err(|_| Bug)??)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::*;

    async fn server(data: &Path) -> Server {
        let flags = ["dbnode", "--id", "db-1", "--listen", "127.0.0.1:0", "--data"];
        let args = crate::Args::parse_from(flags.map(Path::new).into_iter().chain([data]));
        let config = Config::try_from(args).unwrap();
        start(config, Machine::unlimited(), Network::tcp(), Vitals::new("dbnode")).await.unwrap()
    }

    #[tokio::test]
    async fn a_bug_in_the_driver_ends_the_node_and_is_no_failed_disk() {
        let data = tempfile::tempdir().unwrap();
        let mut server = server(data.path()).await;
        let driver = std::mem::replace(&mut server.driver, Box::pin(async { panic!("on purpose") }));
        // It becomes the primary first, so that nothing waits for that.
        let peers = CancellationToken::new();
        let leading = tokio::spawn(driver);
        server.node.wait_for(Core::is_settled).await;
        let ended = server.run(peers).await;
        assert!(matches!(ended, Err(RunError::Bug(_))), "{ended:?}");
        leading.abort();
    }
}
