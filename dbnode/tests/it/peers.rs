//! Three members in this process that know each other by host name.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dbclient::{Client, ClientLimits, Condition};
use dbnode::config::{Cluster, Config};
use dbnode::peers::{Peer, Secret};
use dbnode::replication::durability::Mode;
use machine::Machine;
use machine::names::Resolver;
use machine::network::Network;
use machine::vitals::Vitals;
use tempfile::TempDir;

use crate::support::{TestNode, config};

/// The peer address of a member.
fn peer_address(member: usize) -> SocketAddr {
    let program = 1 + u8::try_from(std::process::id() % 250).unwrap();
    SocketAddr::from(([127, 84, program, 1 + u8::try_from(member).unwrap()], 7101))
}

fn config_of(member: usize, data: &TempDir) -> Config {
    let id = |member: usize| format!("db-{member}");
    let others = (0..3).filter(|other| *other != member);
    let peer =
        |other: usize| Peer { name: id(other).as_str().into(), address: format!("db-{other}.lab:7101") };
    let cluster = Cluster {
        peers: others.map(peer).collect(),
        listen: peer_address(member),
        secret: Secret::new("a secret that all members know").unwrap(),
        mode: Mode::Quorum,
        election_timeout: Duration::from_millis(600),
    };
    Config { id: id(member), cluster: Some(cluster), ..config(data.path()) }
}

#[tokio::test]
async fn a_cluster_forms_although_the_first_address_of_each_name_refuses() {
    // The first lookup of each name fails.
    let asked = Arc::new(Mutex::new(Vec::new()));
    let names = Resolver::new(move |name| {
        let mut asked = asked.lock().unwrap();
        if !asked.contains(&name.to_owned()) {
            asked.push(name.to_owned());
            return Err(std::io::Error::other("no such name"));
        }
        let member = (0..3).find(|member| name == format!("db-{member}.lab:7101"));
        let address = peer_address(member.unwrap());
        Ok(vec![SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())), address])
    });
    let starting = (0..3).map(async |member| {
        let data = TempDir::new().unwrap();
        let network = Network::tcp().with_names(names.clone());
        let vitals = Vitals::new("dbnode");
        let server = dbnode::start(config_of(member, &data), Machine::unlimited(), network, vitals).await;
        TestNode::run(server.unwrap(), data, tokio_util::sync::CancellationToken::new()).await
    });
    let nodes = futures_util::future::join_all(starting).await;
    let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
    let limits = ClientLimits { request: Duration::from_secs(10), ..ClientLimits::default() };
    let client = Client::new(addresses, Network::tcp(), limits);
    client.put("a", "1".into(), Condition::Always).await.unwrap();
}
