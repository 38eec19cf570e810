//! The Redis adapter: a primary and its replicas, with `WAIT`. The first member by name is always the primary: Redis
//! has no automatic failover without Sentinels.

pub(crate) mod sentinels;
mod settings;
mod store;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use dbnode::Args;
use machine::Machine;
use nix::sys::signal::Signal;

use crate::child::{self, Home, Program};
use crate::database::Node;
use store::{Primary, Redis};

/// The port of a single node.
const PORT: u16 = 6379;

/// Runs Redis from start to shutdown.
pub(crate) async fn run(program: &Path, args: Args, machine: Machine) -> anyhow::Result<()> {
    play(program, Node::begin(args, machine)?).await
}

async fn play(program: &Path, node: Node) -> anyhow::Result<()> {
    let listen = node.program_listens(PORT);
    let primary = primary_of(&node)?;
    let home = Home::make(&node.config.data, &[])?;
    let password = node.secret.as_ref().map_or_else(|| rand::random::<u128>().to_string(), hex::encode);
    let waits = settings::waits(node.mode, node.members.len() - 1);
    home.write("lab.conf", &settings::text(listen, home.directory(), primary, &waits, &password))?;
    let flags = [home.directory().join("lab.conf").to_string_lossy().into_owned()];
    let mut child = home.start(program, &flags)?;
    let first = Primary::First(node.members.first().filter(|_| !node.is_first()).cloned());
    let store = tokio::select! {
        store = Redis::connect(&node, listen, &password, waits, first, primary.is_none()) => store?,
        ended = child.wait() => return Err(child::how("Redis", ended)),
    };
    if primary.is_none() {
        store.prepare(&node).await?;
    }
    node.serve(Arc::new(store), Program { title: "Redis", child, ends_on: Signal::SIGTERM }).await
}

/// Returns the address at which a replica finds the primary. `None`: this node is the primary.
fn primary_of(node: &Node) -> anyhow::Result<Option<SocketAddr>> {
    if node.is_first() {
        return Ok(None);
    }
    let first = node.members.first().map(String::as_str).unwrap_or_default();
    let way = node.way_to(first).context("the primary is a --peer")?;
    let address = way.parse().with_context(|| format!("--peer {first}={way}: Redis is given an address"))?;
    Ok(Some(address))
}
