//! The ports of a node, and the settings of its Redis and its Sentinel. Pure.
#![deny(clippy::disallowed_methods)]

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::lead::majority;
use crate::redis::settings::Waits;

/// The Sentinels' name for the database.
pub(super) const DATABASE: &str = "lab";
/// The failover timeout, in election timeouts: the ratio of Sentinel's own defaults, three minutes to 30 seconds.
const FAILOVER_TIMES: u32 = 6;
/// The minimum of `down-after-milliseconds`. A Sentinel reconnects once a second, so with a shorter time every lost
/// connection would look like a crash.
const DOWN_AFTER_MIN: Duration = Duration::from_millis(1_200);

/// Returns the time after which a Sentinel considers a silent primary down (`down-after-milliseconds`).
pub(super) fn down_after(election_timeout: Duration) -> Duration {
    election_timeout.max(DOWN_AFTER_MIN)
}

/// One of the two programs of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Redis,
    Sentinel,
}

impl Which {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Sentinel => "sentinel",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Redis, Self::Sentinel].into_iter().find(|which| which.name() == name)
    }
}

/// The six ports of a node: that of `--peer-listen`, and the five after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) ip: IpAddr,
    pub(super) first: u16,
}

impl Ports {
    fn at(self, offset: u16) -> SocketAddr {
        SocketAddr::new(self.ip, self.first.saturating_add(offset))
    }

    /// The end of the lab's links.
    pub(super) fn way_in(self) -> SocketAddr {
        self.at(0)
    }

    /// The program's own listener.
    pub(super) fn program(self, which: Which) -> SocketAddr {
        self.at(match which {
            Which::Redis => 1,
            Which::Sentinel => 2,
        })
    }

    /// The address by which all members know the program.
    pub(super) fn door(self, which: Which) -> SocketAddr {
        self.at(match which {
            Which::Redis => 3,
            Which::Sentinel => 4,
        })
    }

    /// The gate of the node at `ip`, to which other nodes' doors relay its connections.
    pub(super) fn gate(self, ip: IpAddr) -> SocketAddr {
        SocketAddr::new(ip, self.at(5).port())
    }
}

/// Returns what is added to the settings of a Redis that Sentinels watch.
pub(super) fn redis(ports: Ports, is_replica: bool, waits: &Waits) -> String {
    let door = ports.door(Which::Redis);
    let mut text = format!(
        "# By where it comes from a door knows whose it is.\nbind-source-addr {ip}\nreplica-announce-ip {ip}\n\
         replica-announce-port {port}\n",
        ip = ports.ip,
        port = door.port()
    );
    // A primary has the setting already; a replica needs it once it is promoted.
    if is_replica {
        text += &format!("min-replicas-to-write {}\n", waits.needed);
    }
    text
}

/// Returns a Sentinel's first configuration. The Sentinel keeps its state in the same file.
pub(super) fn sentinel(
    ports: Ports,
    directory: &Path,
    primary: SocketAddr,
    replicas: &[SocketAddr],
    members: usize,
    election_timeout: Duration,
    password: &str,
) -> String {
    let (listen, door) = (ports.program(Which::Sentinel), ports.door(Which::Sentinel));
    let mut text = format!(
        "bind {ip}\nport {port}\ndir \"{directory}\"\nbind-source-addr {ip}\nrequirepass {password}\n\
         sentinel sentinel-pass {password}\nsentinel announce-ip {ip}\nsentinel announce-port {announced}\n\
         sentinel monitor {DATABASE} {primary_ip} {primary_port} {quorum}\nsentinel auth-pass {DATABASE} {password}\n\
         sentinel down-after-milliseconds {DATABASE} {down_after}\nsentinel failover-timeout {DATABASE} {failover}\n",
        ip = ports.ip,
        port = listen.port(),
        directory = directory.display().to_string().replace('\\', "\\\\").replace('"', "\\\""),
        announced = door.port(),
        primary_ip = primary.ip(),
        primary_port = primary.port(),
        quorum = majority(members),
        down_after = down_after(election_timeout).as_millis(),
        failover = (election_timeout * FAILOVER_TIMES).as_millis(),
    );
    // A Sentinel learns of replicas by asking the primary every ten seconds. The primary may be killed before that.
    for replica in replicas {
        text += &format!("sentinel known-replica {DATABASE} {} {}\n", replica.ip(), replica.port());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::settings::waits;
    use dbnode::replication::durability::Mode;

    const PORTS: Ports = Ports { ip: IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2)), first: 7101 };

    #[test]
    fn everything_listens_somewhere_else() {
        let of = |which| [PORTS.program(which), PORTS.door(which)];
        let all = [of(Which::Redis), of(Which::Sentinel), [PORTS.way_in(), PORTS.gate(PORTS.ip)]].concat();
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), 6);
        assert!(all.iter().all(|address| address.ip() == PORTS.ip));
    }

    #[test]
    fn a_replica_knows_whom_it_will_need_when_it_is_promoted() {
        let waits = waits(Mode::Quorum, 2);
        let text = redis(PORTS, true, &waits);
        assert!(text.contains("min-replicas-to-write 1\n") && text.contains("replica-announce-port 7104\n"));
        assert!(!redis(PORTS, false, &waits).contains("min-replicas"), "it has been told already");
    }

    #[test]
    fn a_sentinel_is_told_of_the_primary_by_its_door() {
        let primary = "127.0.0.1:7104".parse().unwrap();
        let text = sentinel(
            PORTS,
            Path::new("/d"),
            primary,
            &["127.0.0.2:7104".parse().unwrap()],
            3,
            Duration::from_millis(600),
            "x",
        );
        assert!(text.contains("sentinel monitor lab 127.0.0.1 7104 2\n"), "{text}");
        assert!(
            text.contains("down-after-milliseconds lab 1200\n")
                && text.contains("failover-timeout lab 3600\n")
        );
        assert!(text.ends_with("sentinel known-replica lab 127.0.0.2 7104\n"));
        assert!(text.contains("announce-port 7105\n") && text.contains("port 7103\n"));
    }
}
