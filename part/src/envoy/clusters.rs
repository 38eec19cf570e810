//! Parses Envoy's view of its servers: `/clusters?format=json`. Pure.

use std::net::SocketAddr;

use serde::Deserialize;

use super::config::CLUSTER;
use crate::board::{Health, Seen};

/// A server, as Envoy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) address: SocketAddr,
    /// Whether Envoy is draining it.
    pub(super) drains: bool,
    pub(super) seen: Seen,
}

#[derive(Deserialize)]
struct Document {
    cluster_statuses: Vec<Cluster>,
}

#[derive(Deserialize)]
struct Cluster {
    name: String,
    #[serde(default)]
    host_statuses: Vec<Status>,
}

#[derive(Deserialize)]
struct Status {
    address: Address,
    #[serde(default)]
    stats: Vec<Figure>,
    #[serde(default)]
    health_status: Flags,
}

#[derive(Deserialize)]
struct Address {
    socket_address: Socket,
}

#[derive(Deserialize)]
struct Socket {
    address: String,
    port_value: u16,
}

/// A counter. Envoy omits zeros.
#[derive(Deserialize)]
struct Figure {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Flags {
    failed_active_health_check: bool,
    failed_outlier_check: bool,
    pending_active_hc: bool,
    active_hc_timeout: bool,
    eds_health_status: String,
}

/// Returns the servers in the answer.
pub(super) fn hosts(answer: &[u8]) -> Result<Vec<Host>, serde_json::Error> {
    let document: Document = serde_json::from_slice(answer)?;
    let cluster = document.cluster_statuses.into_iter().find(|cluster| cluster.name == CLUSTER);
    let statuses = cluster.map(|cluster| cluster.host_statuses).unwrap_or_default();
    Ok(statuses.iter().filter_map(host).collect())
}

fn host(status: &Status) -> Option<Host> {
    let Socket { address, port_value } = &status.address.socket_address;
    let address = SocketAddr::new(address.parse().ok()?, *port_value);
    let figure = |name: &str| {
        let figure = status.stats.iter().find(|figure| figure.name == name);
        figure.and_then(|figure| figure.value.parse().ok()).unwrap_or(0)
    };
    let (state, words) = state(&status.health_status);
    let (in_flight, requests) = (figure("rq_active"), figure("rq_total"));
    let drains = status.health_status.eds_health_status == "DRAINING";
    Some(Host { address, drains, seen: Seen { state, words: words.to_owned(), in_flight, requests } })
}

fn state(flags: &Flags) -> (Health, &'static str) {
    if flags.pending_active_hc {
        return (Health::Unknown, "not checked yet");
    }
    match (flags.failed_outlier_check, flags.failed_active_health_check) {
        (true, _) => (Health::Down, "failed_outlier_check: requests failed in a row"),
        (false, true) if flags.active_hc_timeout => {
            (Health::Down, "failed_active_health_check: checks had no answer in time")
        }
        (false, true) => (Health::Down, "failed_active_health_check: checks failed"),
        (false, false) => (Health::Up, "healthy"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(flags: &str) -> String {
        let address = r#""address":{"socket_address":{"address":"127.0.0.1","port_value":9001}}"#;
        let stats = r#""stats":[{"name":"rq_active","value":"2"},{"name":"rq_total"}]"#;
        let host = format!(r#"{{{address},{stats},"health_status":{{{flags}}},"weight":1}}"#);
        format!(r#"{{"cluster_statuses":[{{"name":"web","host_statuses":[{host}]}},{{"name":"other"}}]}}"#)
    }

    fn host(flags: &str) -> Host {
        hosts(answer(flags).as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn a_server_is_out_when_its_checks_or_its_requests_failed() {
        let healthy = host(r#""eds_health_status":"HEALTHY""#);
        assert_eq!((healthy.seen.state, healthy.seen.in_flight, healthy.seen.requests), (Health::Up, 2, 0));
        assert_eq!(healthy.address.to_string(), "127.0.0.1:9001");
        for flag in ["failed_active_health_check", "failed_outlier_check"] {
            let seen = host(&format!(r#""{flag}":true"#)).seen;
            assert_eq!(seen.state, Health::Down);
            assert!(seen.words.starts_with(flag), "{}", seen.words);
        }
    }

    #[test]
    fn one_that_was_not_checked_yet_is_neither_and_one_that_leaves_says_so() {
        let new = host(r#""failed_active_health_check":true,"pending_active_hc":true"#);
        assert_eq!(new.seen.state, Health::Unknown);
        assert!(host(r#""eds_health_status":"DRAINING""#).drains && !new.drains);
    }

    #[test]
    fn an_answer_without_servers_has_none_and_nonsense_is_an_error() {
        assert_eq!(hosts(br#"{"cluster_statuses":[{"name":"web"}]}"#).unwrap(), []);
        assert!(hosts(b"no healthy upstream").is_err());
    }
}
