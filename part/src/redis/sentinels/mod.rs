//! Redis with a Sentinel beside each node: when the primary fails, a majority of the Sentinels promotes a replica.
//!
//! On a restart, a node's Sentinel starts first, because it remembers the primary. The node then asks the other nodes
//! what their Sentinels know, and starts Redis as the primary or as a replica (`lead.rs` decides). From then on
//! `follow.rs` does what the Sentinel says. A new node starts Redis first, and then its Sentinel.

mod asking;
mod follow;
pub(super) mod lead;
mod roads;
mod settings;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use dbnode::Args;
use machine::Machine;
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::settings::{text, waits};
use super::store::{Primary, Redis};
use crate::child::{self, Home, Program};
use crate::database::Node;
use asking::Sentinel;
use follow::Follower;
use lead::{Beginning, Lead, Own, Standing};
use roads::Roads;
use settings::{Ports, Which};

/// How long a node may take to find out which node is the primary.
const KNOWN_WITHIN: Duration = Duration::from_secs(60);
/// How long a new node waits for the addresses of the other nodes.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// How long its Sentinel may take to discover the others: each announces itself every two seconds.
const ACQUAINTED_WITHIN: Duration = Duration::from_secs(10);
/// How much later than its Sentinel the adapter may be asked to stop.
const ASKED_WITHIN: Duration = Duration::from_secs(1);
/// How long a Sentinel may take to exit.
const END_MAX: Duration = Duration::from_secs(2);
/// Pause before a retry.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// The Sentinel's configuration file, in which it also saves its state.
const SENTINEL: &str = "sentinel.conf";
/// The directory of Redis' append-only file.
const DATA: &str = "appendonlydir";

/// Runs Redis and its Sentinel from start to shutdown.
pub(crate) async fn run(program: &Path, args: Args, machine: Machine) -> anyhow::Result<()> {
    let node = Node::begin(args, machine)?;
    let Some(cluster) = &node.config.cluster else {
        return super::play(program, node).await;
    };
    let (listen, election_timeout) = (cluster.listen, cluster.election_timeout);
    ensure!(
        !listen.ip().is_unspecified(),
        "--peer-listen {listen}: Sentinels need an address, not all of them"
    );
    let ports = Ports { ip: listen.ip(), first: listen.port() };
    let home = Home::make(&node.config.data, &[])?;
    let password = node.secret.as_ref().context("--secret-file: the members of a database share one")?;
    let password = hex::encode(password);
    let own = Own {
        door: ports.door(Which::Redis),
        is_first: node.is_first(),
        has_data: home.directory().join(DATA).is_dir(),
        members: node.members.len(),
    };
    let lead = Arc::new(Mutex::new(lead(&node, own, settings::down_after(election_timeout))));
    let roads =
        Roads::open(node.config.id.clone(), node.advertised(), ports, ways(&node), Arc::clone(&lead)).await?;

    let mut sentinel = match home.directory().join(SENTINEL).exists() {
        true => Some(start_sentinel(&home, program)?),
        false => None,
    };
    let mut asked = Sentinel::at(ports.program(Which::Sentinel), &password)?;
    let beginning = tokio::select! {
        beginning = begin(&lead, &mut asked, sentinel.is_some(), &roads) => beginning?,
        () = node.stop.cancelled() => return Ok(()),
        ended = ended(&mut sentinel) => return Err(ended),
    };
    let primary = match beginning {
        Beginning::Follow(primary) => Some(primary),
        _ => None,
    };

    let (redis, waits) = (ports.program(Which::Redis), waits(node.mode, node.members.len() - 1));
    let told = text(redis, home.directory(), primary, &waits, &password);
    home.write("lab.conf", &(told + &settings::redis(ports, primary.is_some(), &waits)))?;
    let flags = [home.directory().join("lab.conf").to_string_lossy().into_owned()];
    let mut child = home.start(program, &flags)?;
    let (named, founds) = (Primary::Named(Arc::clone(&lead)), beginning == Beginning::Found);
    let store = tokio::select! {
        store = Redis::connect(&node, redis, &password, waits, named, founds) => store?,
        ended = child.wait() => return Err(child::how("Redis", ended)),
        ended = ended(&mut sentinel) => return Err(ended),
    };
    let store = Arc::new(store);
    if founds {
        store.prepare(&node).await?;
    }
    let is_new = sentinel.is_none();
    let mut sentinel = match sentinel {
        Some(sentinel) => sentinel,
        None => {
            until_all_are_known(&lead, &roads).await;
            let watched = primary.unwrap_or(own.door);
            let replicas: Vec<_> =
                lead.lock().places.keys().copied().filter(|door| *door != watched).collect();
            let text = settings::sentinel(
                ports,
                home.directory(),
                watched,
                &replicas,
                own.members,
                election_timeout,
                &password,
            );
            home.write(SENTINEL, &text)?;
            start_sentinel(&home, program)?
        }
    };
    let follower = Follower { store: Arc::clone(&store), sentinel: asked, roads, lead };
    let following = tokio::spawn(follower.follow(Standing::at_first(beginning)));
    if is_new {
        let asked = Sentinel::at(ports.program(Which::Sentinel), &password)?;
        until_acquainted(asked, own.members).await;
    }
    let stop = node.stop.clone();
    let served = tokio::select! {
        served = node.serve(store, Program { title: "Redis", child, ends_on: Signal::SIGTERM }) => served,
        ended = unasked(&mut sentinel, &stop) => Err(ended),
    };
    following.abort();
    child::end(sentinel, Signal::SIGTERM, END_MAX).await;
    served
}

fn lead(node: &Node, own: Own, down_after: Duration) -> Lead {
    let places = HashMap::from([(own.door, (node.config.id.clone(), node.advertised()))]);
    Lead { own, away_after: down_after, view: None, of_own_sentinel: None, good_at: None, places }
}

/// The lab's links to the other nodes, by name.
fn ways(node: &Node) -> BTreeMap<String, String> {
    let way = |member: &String| Some((member.clone(), node.way_to(member)?.to_owned()));
    node.members.iter().filter_map(way).collect()
}

fn start_sentinel(home: &Home, program: &Path) -> anyhow::Result<Child> {
    let file = home.directory().join(SENTINEL).to_string_lossy().into_owned();
    home.start(program, &[file, "--sentinel".into()])
}

/// Asks its Sentinel and the other nodes until it is clear in which role this node starts.
async fn begin(
    lead: &Mutex<Lead>,
    sentinel: &mut Sentinel,
    has_sentinel: bool,
    roads: &Roads,
) -> anyhow::Result<Beginning> {
    let deadline = Instant::now() + KNOWN_WITHIN;
    loop {
        // Its own Sentinel is asked last, because it may still be starting.
        let told = roads.ask_all().await;
        let view = if has_sentinel { sentinel.view().await } else { None };
        let (own, begins) = {
            let mut lead = lead.lock();
            told.iter().for_each(|told| lead.learn(told));
            told.iter().filter_map(|told| told.view).chain(view).for_each(|view| lead.hear(view));
            lead.of_own_sentinel = view;
            (lead.own, lead::beginning(&lead.own, view, &told))
        };
        check_doors(&own.door, &told)?;
        match begins {
            // A node with a Sentinel was a member before. It waits for what that Sentinel remembers.
            Beginning::Found if has_sentinel => {}
            Beginning::Wait => {}
            begins => return Ok(begins),
        }
        ensure!(
            Instant::now() < deadline,
            "within {KNOWN_WITHIN:?} no majority of the Sentinels said who the primary is: start the other nodes"
        );
        sleep(AGAIN_AFTER).await;
    }
}

/// Asks until the addresses of all members are known, or time is up: a Sentinel discovers the rest by itself.
async fn until_all_are_known(lead: &Mutex<Lead>, roads: &Roads) {
    let deadline = Instant::now() + TOLD_WITHIN;
    while lead.lock().misses_some() && Instant::now() < deadline {
        let told = roads.ask_all().await;
        told.iter().for_each(|told| lead.lock().learn(told));
        sleep(AGAIN_AFTER).await;
    }
}

/// Waits until the Sentinels of a new database know each other, or time is up: until then they promote no replica.
async fn until_acquainted(mut sentinel: Sentinel, members: usize) {
    let deadline = Instant::now() + ACQUAINTED_WITHIN;
    while sentinel.others().await.is_none_or(|others| others + 1 < members) {
        if Instant::now() > deadline {
            tracing::warn!("within {ACQUAINTED_WITHIN:?} the Sentinels have not all come to know each other");
            return;
        }
        sleep(AGAIN_AFTER).await;
    }
}

/// Checks that every node listens at the same port of an address of its own. The source address of a connection tells
/// which node it comes from, and the port where to reach that node's gate.
fn check_doors(own: &SocketAddr, told: &[lead::Told]) -> anyhow::Result<()> {
    for other in told {
        ensure!(
            other.door.ip() != own.ip() && other.door.port() == own.port(),
            "--peer-listen: the nodes of a database with Sentinels listen at one port, each at an address of its own; \
             '{}' does not",
            other.name
        );
    }
    Ok(())
}

/// Resolves when the Sentinel ends although the node is not asked to stop. A signal to all processes of the machine
/// reaches the Sentinel, too, perhaps before the adapter.
async fn unasked(sentinel: &mut Child, stop: &CancellationToken) -> anyhow::Error {
    let ended = sentinel.wait().await;
    if timeout(ASKED_WITHIN, stop.cancelled()).await.is_ok() {
        return std::future::pending().await;
    }
    child::how("the Sentinel", ended)
}

/// Resolves when the Sentinel ends; never, if there is none.
async fn ended(sentinel: &mut Option<Child>) -> anyhow::Error {
    match sentinel {
        Some(sentinel) => child::how("the Sentinel", sentinel.wait().await),
        None => std::future::pending().await,
    }
}
