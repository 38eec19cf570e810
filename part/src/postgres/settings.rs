//! Translates the chapter's flags into PostgreSQL's settings. Pure.

use std::net::SocketAddr;

use dbnode::replication::durability::Mode;

/// The database's superuser, whose password only the adapters know.
pub(super) const USER: &str = "lab";

/// What the primary waits for before it acknowledges a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waits {
    /// `synchronous_commit`.
    pub(super) commit: &'static str,
    /// `synchronous_standby_names`.
    pub(super) standbys: String,
}

/// Returns the settings for a replication mode of the contract.
pub(super) fn waits(mode: Mode, others: &[String]) -> Waits {
    let names = others.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let waits = |commit, standbys| Waits { commit, standbys };
    match mode {
        _ if others.is_empty() => waits("local", String::new()),
        Mode::Async => waits("local", String::new()),
        // Together with the primary's own disk, that is a majority.
        Mode::Quorum => waits("on", format!("ANY {} ({names})", others.len().div_ceil(2))),
        Mode::Sync => waits("remote_apply", format!("FIRST {} ({names})", others.len())),
    }
}

/// Returns the settings of a node. `primary` is the address at which a replica finds the primary.
pub(super) fn text(
    id: &str,
    listen: SocketAddr,
    waits: &Waits,
    primary: Option<SocketAddr>,
    password: &str,
) -> String {
    let (ip, port) = (listen.ip(), listen.port());
    let Waits { commit, standbys } = waits;
    let mut text = format!(
        "listen_addresses = '{ip}'\nport = {port}\nunix_socket_directories = ''\n\
         # Many nodes share a computer.\nshared_buffers = 32MB\nmax_connections = 120\n\
         # A replica that comes back finds what it missed.\nwal_keep_size = 512MB\nmax_wal_senders = 8\n\
         hot_standby = on\nwal_retrieve_retry_interval = 500ms\n\
         synchronous_commit = {commit}\nsynchronous_standby_names = '{standbys}'\n\
         log_min_messages = warning\nlog_min_error_statement = panic\nmax_logical_replication_workers = 0\n"
    );
    if let Some(primary) = primary {
        text += &format!(
            "primary_conninfo = 'host={} port={} user={USER} password={password} \
             application_name={id} connect_timeout=2 sslmode=disable'\n",
            primary.ip(),
            primary.port()
        );
    }
    text
}

/// Access control: a password, on loopback, where only root can listen. Clients send it in the clear, because the
/// thousands of hashes that SCRAM computes per connection would load the computer that measures.
pub(super) const ACCESS: &str = "host all all 127.0.0.0/8 password\n\
     host replication all 127.0.0.0/8 scram-sha-256\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn others() -> Vec<String> {
        vec!["db-2".into(), "db-3".into()]
    }

    #[test]
    fn a_majority_is_the_primary_and_half_of_the_others() {
        assert_eq!(waits(Mode::Quorum, &others()).standbys, r#"ANY 1 ("db-2", "db-3")"#);
        let four: Vec<String> = (2..=5).map(|number| format!("db-{number}")).collect();
        assert!(
            waits(Mode::Quorum, &four).standbys.starts_with("ANY 2 ("),
            "with the primary: three of five"
        );
    }

    #[test]
    fn all_means_that_all_show_it_and_nobody_that_nobody_is_waited_for() {
        let all = waits(Mode::Sync, &others());
        assert_eq!((all.commit, all.standbys.as_str()), ("remote_apply", r#"FIRST 2 ("db-2", "db-3")"#));
        assert_eq!(waits(Mode::Async, &others()).standbys, "");
        assert_eq!(waits(Mode::Sync, &[]).commit, "local");
    }

    #[test]
    fn a_replica_is_told_where_the_primary_is_and_a_primary_is_not() {
        let listen = "127.0.0.2:7101".parse().unwrap();
        let waits = waits(Mode::Quorum, &others());
        let replica = text("db-2", listen, &waits, Some("127.0.1.1:7101".parse().unwrap()), "x");
        assert!(replica.contains("host=127.0.1.1 port=7101") && replica.contains("application_name=db-2"));
        assert!(!text("db-1", listen, &waits, None, "x").contains("primary_conninfo"));
    }
}
