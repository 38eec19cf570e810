//! Translates the chapter's flags into Redis' settings. Pure.

use std::net::SocketAddr;
use std::path::Path;

use dbnode::replication::durability::Mode;

/// What a write waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waits {
    /// The number of replicas that must have it before it is acknowledged: `WAIT`.
    pub(super) replicas: usize,
    /// The number of connected replicas without which a write is rejected: `min-replicas-to-write`.
    pub(super) needed: usize,
}

/// Returns the settings for a replication mode of the contract.
pub(super) fn waits(mode: Mode, others: usize) -> Waits {
    let replicas = match mode {
        Mode::Async => 0,
        Mode::Quorum => others.div_ceil(2),
        Mode::Sync => others,
    };
    Waits { replicas, needed: replicas }
}

/// Returns the configuration file.
pub(super) fn text(
    listen: SocketAddr,
    directory: &Path,
    primary: Option<SocketAddr>,
    waits: &Waits,
    password: &str,
) -> String {
    let mut text = format!(
        "bind {}\nport {}\ndir \"{}\"\nsave \"\"\nappendonly yes\n# On the disk before it is acknowledged.\n\
         appendfsync always\nrequirepass {password}\nmasterauth {password}\nrepl-diskless-sync-delay 0\n",
        listen.ip(),
        listen.port(),
        directory.display().to_string().replace('\\', "\\\\").replace('"', "\\\""),
    );
    match primary {
        Some(primary) => text += &format!("replicaof {} {}\n", primary.ip(), primary.port()),
        None => text += &format!("min-replicas-to-write {}\n", waits.needed),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_the_primary_and_half_of_the_others() {
        let replicas = |mode, others| waits(mode, others).replicas;
        assert_eq!([replicas(Mode::Async, 2), replicas(Mode::Quorum, 2), replicas(Mode::Sync, 2)], [0, 1, 2]);
        assert_eq!(replicas(Mode::Quorum, 4), 2);
        assert_eq!(replicas(Mode::Quorum, 0), 0, "alone");
    }

    #[test]
    fn a_replica_is_told_where_the_primary_is_and_a_primary_whom_it_needs() {
        let (listen, waits) = ("127.0.0.2:7101".parse().unwrap(), waits(Mode::Sync, 2));
        let replica = text(listen, Path::new("/d"), Some("127.0.1.1:7101".parse().unwrap()), &waits, "x");
        assert!(replica.contains("replicaof 127.0.1.1 7101\n") && !replica.contains("min-replicas"));
        assert!(text(listen, Path::new("/d"), None, &waits, "x").contains("min-replicas-to-write 2\n"));
    }
}
