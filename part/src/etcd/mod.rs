//! The etcd adapter, through the JSON gateway to its gRPC API. etcd elects its own leader, and every member serves
//! requests.

mod peers;
mod store;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use dbnode::Args;
use machine::Machine;
use nix::sys::signal::Signal;

use crate::child::{self, Home, Program};
use crate::database::Node;
use store::Etcd;

/// The port on which etcd serves its adapter.
const CLIENT_PORT: u16 = 2379;
/// The port on which even a single node listens for peers.
const PEER_PORT: u16 = 2380;
/// Leader heartbeats per election timeout. etcd requires at least five.
const BEATS: u128 = 10;

/// Runs etcd from start to shutdown.
pub(crate) async fn run(program: &Path, args: Args, machine: Machine) -> anyhow::Result<()> {
    let node = Node::begin(args, machine)?;
    let (listen, ip) = (node.program_listens(PEER_PORT), node.config.listen.ip());
    let ways: BTreeMap<_, _> = node
        .members
        .iter()
        .filter_map(|member| Some((peers::alias(&node.members, member)?, node.way_to(member)?.to_owned())))
        .collect();
    let proxy = peers::serve(ip, ways).await.context("listen for what etcd sends to its peers")?;
    let home = Home::make(&node.config.data, &[])?;
    let client = format!("http://{ip}:{CLIENT_PORT}");
    let flags = flags(&node, &home, &format!("http://{listen}"), &client)?;
    let variables = [("HTTP_PROXY", format!("http://{proxy}")), ("NO_PROXY", String::new())];
    let mut child = home.start_with(program, &flags, &variables)?;
    let store = tokio::select! {
        store = Etcd::connect(&node, &client) => store?,
        ended = child.wait() => return Err(child::how("etcd", ended)),
    };
    let store = Arc::new(store);
    tokio::spawn(Arc::clone(&store).renew_lease());
    if node.is_first() {
        store.import(&node).await?;
    }
    node.serve(store, Program { title: "etcd", child, ends_on: Signal::SIGTERM }).await
}

fn flags(node: &Node, home: &Home, listen: &str, client: &str) -> anyhow::Result<Vec<String>> {
    let url = |member: &String| peers::alias(&node.members, member).map(|alias| format!("http://{alias}"));
    let cluster: Vec<_> =
        node.members.iter().filter_map(|member| Some(format!("{member}={}", url(member)?))).collect();
    let election = node.config.cluster.as_ref().map_or(1_000, |cluster| cluster.election_timeout.as_millis());
    let own = url(&node.config.id).context("this node is one of the members")?;
    let flags = [
        ("name", node.config.id.clone()),
        ("data-dir", home.directory().to_string_lossy().into_owned()),
        ("listen-peer-urls", listen.to_owned()),
        ("initial-advertise-peer-urls", own),
        ("listen-client-urls", client.to_owned()),
        ("advertise-client-urls", client.to_owned()),
        ("initial-cluster", cluster.join(",")),
        ("initial-cluster-state", "new".into()),
        ("election-timeout", election.to_string()),
        ("heartbeat-interval", (election / BEATS).max(10).to_string()),
        ("logger", "zap".into()),
        ("log-level", "warn".into()),
    ];
    Ok(flags.into_iter().map(|(name, value)| format!("--{name}={value}")).collect())
}
