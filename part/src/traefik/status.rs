//! Reads the state of the servers from Traefik: results of health checks are in its API, ejections after failed
//! requests only in its metrics. Pure.
#![deny(clippy::disallowed_methods)]

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;

use crate::board::{Health, Seen};

/// The gauge that is 1 while Traefik sends a server requests.
const GAUGE: &str = "traefik_service_server_up{";

/// A service in an answer of the API.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    status: String,
    #[serde(default)]
    error: Vec<String>,
    #[serde(default)]
    server_status: BTreeMap<String, String>,
}

/// Parses the servers of an answer to `/api/http/services/NAME`, by URL; `failing` are those that failed requests have
/// ejected. The error says why Traefik does not use the service.
pub(super) fn servers(answer: &[u8], failing: &HashSet<String>) -> Result<Vec<(String, Seen)>, String> {
    let service: Service = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    if service.status != "enabled" {
        return Err(format!("Traefik says that it is {}: {}", service.status, service.error.join("; ")));
    }
    let of_server = |(url, status): (String, String)| {
        let (state, words) = match status.as_str() {
            "DOWN" => (Health::Down, "Traefik's check failed"),
            _ if failing.contains(&url) => (Health::Down, "too many requests failed"),
            _ => (Health::Up, "Traefik sends it requests"),
        };
        (url, seen(state, words))
    };
    Ok(service.server_status.into_iter().map(of_server).collect())
}

/// Returns the URLs of the servers that get no requests, according to the metrics. A server that has neither been
/// checked nor failed yet is missing from the metrics.
pub(super) fn failing(metrics: &str, service: &str) -> HashSet<String> {
    let service = format!("{service}@file");
    metrics
        .lines()
        .filter_map(|line| {
            let (labels, value) = line.strip_prefix(GAUGE)?.rsplit_once("} ")?;
            let label = |name: &str| labels.split_once(&format!("{name}=\""))?.1.split('"').next();
            let is_out = value.trim() == "0" && label("service")? == service;
            is_out.then(|| label("url").map(str::to_owned)).flatten()
        })
        .collect()
}

/// A server's state. The counters are 0, because Traefik does not report a server's requests.
pub(super) fn seen(state: Health, words: &str) -> Seen {
    Seen { state, words: words.to_owned(), in_flight: 0, requests: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = br#"{"loadBalancer":{"servers":[{"url":"http://127.0.0.1:1"}],"strategy":"wrr"},
        "status":"enabled","usedBy":["all@file"],"name":"web-1@file","provider":"file",
        "serverStatus":{"http://127.0.0.1:1":"DOWN","http://127.0.0.1:2":"UP"}}"#;

    fn told(failing: &[&str]) -> Vec<(Health, String)> {
        let failing = failing.iter().map(|url| (*url).to_owned()).collect();
        let servers = servers(ANSWER, &failing).unwrap();
        assert_eq!(servers.iter().map(|(url, _)| url.len()).collect::<Vec<_>>(), [18, 18]);
        servers.into_iter().map(|(_, seen)| (seen.state, seen.words)).collect()
    }

    #[test]
    fn a_server_is_out_when_its_check_failed_or_its_requests_did() {
        let [check, well] = &told(&[])[..] else { panic!("there are two") };
        assert_eq!(check, &(Health::Down, "Traefik's check failed".into()));
        assert_eq!(well.0, Health::Up);
        assert_eq!(told(&["http://127.0.0.1:2"])[1], (Health::Down, "too many requests failed".into()));
    }

    #[test]
    fn a_service_that_traefik_does_not_use_is_an_error() {
        let nobody = HashSet::new();
        let error = servers(br#"{"status":"disabled","error":["no such strategy"]}"#, &nobody).unwrap_err();
        assert_eq!(error, "Traefik says that it is disabled: no such strategy");
        assert!(servers(b"404 page not found", &nobody).is_err());
        assert_eq!(servers(br#"{"status":"enabled"}"#, &nobody), Ok(vec![]));
    }

    #[test]
    fn what_requests_did_is_read_of_the_service_that_is_asked_for() {
        let metrics = "# TYPE traefik_service_server_up gauge\n\
            traefik_service_server_up{service=\"web-1@file\",url=\"http://127.0.0.1:1\"} 0\n\
            traefik_service_server_up{service=\"web-2@file\",url=\"http://127.0.0.1:1\"} 1\n\
            traefik_service_server_up{service=\"web-2@file\",url=\"http://127.0.0.1:2\"} 0\n\
            traefik_service_requests_total{code=\"200\",service=\"web-2@file\"} 0\n";
        assert_eq!(failing(metrics, "web-2"), HashSet::from(["http://127.0.0.1:2".to_owned()]));
        assert_eq!(failing("", "web-2"), HashSet::new());
    }
}
