//! Translates the flags of `lb` into Envoy's configuration: a bootstrap file that never changes, and a file of
//! endpoints that Envoy reloads whenever it is replaced. Pure.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use lb::Args;
use lb::choose::PolicyName;
use lb::config::HealthName;
use serde_json::{Map, Value, json};

/// The name of the one cluster.
pub(super) const CLUSTER: &str = "web";
/// The metadata key of a server's name.
const METADATA: &str = "lab";
/// The base ejection time of a server ejected because of its requests (outlier detection).
const EJECTION: &str = "10s";
/// How often Envoy looks for outliers, and for ejected servers that may return.
const SWEEP: &str = "1s";
/// More connections and requests than ever occur.
const NO_LIMIT: u32 = 1_000_000;
/// Methods that may be retried.
const REPEATABLE: &str = "GET|HEAD|OPTIONS";

/// An upstream in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) weight: u32,
    /// Whether it is draining.
    pub(super) leaves: bool,
}

impl Server {
    /// Creates a server that takes requests. The error says why Envoy cannot have it.
    pub(super) fn new(name: &str, address: &str, weight: u32) -> Result<Self, String> {
        let address = address.parse().map_err(|_| {
            format!("'{name}' at {address}: Envoy takes servers by IP addresses, and looks no names up here")
        })?;
        Ok(Self { name: name.to_owned(), address, weight, leaves: false })
    }
}

/// Refuses flags that Envoy cannot implement, with a sentence; otherwise returns the servers.
pub(super) fn check(args: &Args) -> Result<Vec<Server>, String> {
    if args.pair.pair_id.is_some() {
        return Err("--pair-id: Envoy does not share an address; keepalived beside it does that".into());
    }
    if args.policy == PolicyName::Sticky {
        return Err("--policy sticky: Envoy's cookies are not those of the contract".into());
    }
    let server = |upstream: &lb::upstream::Address| {
        Server::new(&upstream.name, &upstream.address, upstream.weight)
            .map_err(|reason| format!("--upstream: {reason}"))
    };
    args.upstreams.iter().map(server).collect()
}

/// Returns the bootstrap file. The other files are in `directory`.
pub(super) fn bootstrap(args: &Args, directory: &Path, socket: &Path, servers: &Path) -> Value {
    json!({
        "node": { "id": "lb", "cluster": "lb" },
        // Only its owner may connect to the admin interface.
        "admin": { "address": { "pipe": { "path": socket, "mode": 0o600 } } },
        "static_resources": {
            "listeners": [listener(args)],
            "clusters": [cluster(args, directory, servers)],
        },
    })
}

/// Returns the file of endpoints.
pub(super) fn endpoints(servers: &[Server]) -> Value {
    let endpoint = |server: &Server| {
        json!({
            "endpoint": { "address": address(server.address) },
            "metadata": { "filter_metadata": { METADATA: { "name": server.name } } },
            "load_balancing_weight": server.weight,
            "health_status": if server.leaves { "DRAINING" } else { "UNKNOWN" },
        })
    };
    let endpoints: Vec<_> = servers.iter().map(endpoint).collect();
    json!({ "resources": [{
        "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": CLUSTER,
        "endpoints": [{ "lb_endpoints": endpoints }],
    }] })
}

fn address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}

fn listener(args: &Args) -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "codec_type": "HTTP1",
        "use_remote_address": true,
        "generate_request_id": false,
        "common_http_protocol_options": { "idle_timeout": seconds(args.idle_timeout.into()) },
        "request_headers_timeout": seconds(args.header_timeout.into()),
        "max_request_headers_kb": (args.max_header_bytes.as_u64() / 1024).clamp(1, 8192),
        "route_config": { "virtual_hosts": [{
            "name": CLUSTER,
            "domains": ["*"],
            "response_headers_to_add": [{
                "header": { "key": "X-Served-By", "value": format!("%UPSTREAM_METADATA({METADATA}:name)%") },
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }],
            "routes": routes(args),
        }] },
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                "suppress_envoy_headers": true,
            },
        }],
    });
    let filter = json!({ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager });
    json!({
        "name": "in",
        "address": address(args.listen),
        "filter_chains": [{ "filters": [filter] }],
    })
}

/// Retries requests that may be repeated, and any request that no server has accepted a connection for.
fn routes(args: &Args) -> Vec<Value> {
    let limit: Duration = args.request_timeout.into();
    let try_limit = args.try_timeout.map_or(limit, Duration::from).min(limit);
    let retries = args.tolerance.retries;
    if retries == 0 {
        let route = json!({ "cluster": CLUSTER, "timeout": seconds(try_limit) });
        return vec![json!({ "match": { "prefix": "/" }, "route": route })];
    }
    let route = |retry_on: &str| {
        json!({
            "cluster": CLUSTER,
            "timeout": seconds(limit),
            "retry_policy": {
                "retry_on": retry_on,
                "num_retries": retries,
                "per_try_timeout": seconds(try_limit),
                "retry_back_off": { "base_interval": "0.001s" },
                "retry_host_predicate": [{
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
                    },
                }],
                "host_selection_retry_max_attempts": 5,
            },
        })
    };
    let repeatable = json!({ "name": ":method", "string_match": { "safe_regex": { "regex": REPEATABLE } } });
    vec![
        json!({ "match": { "prefix": "/", "headers": [repeatable] }, "route": route("5xx") }),
        json!({ "match": { "prefix": "/" }, "route": route("connect-failure") }),
    ]
}

fn cluster(args: &Args, directory: &Path, servers: &Path) -> Value {
    let http = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let connect = Duration::from(args.connect_timeout).min(args.request_timeout.into());
    let connect = args.try_timeout.map_or(connect, |limit| connect.min(limit.into()));
    let mut cluster = Map::new();
    let mut set = |key: &str, value: Value| cluster.insert(key.to_owned(), value);
    set("name", json!(CLUSTER));
    set("type", json!("EDS"));
    let source = json!({ "path": servers, "watched_directory": { "path": directory } });
    set(
        "eds_cluster_config",
        json!({ "eds_config": { "resource_api_version": "V3", "path_config_source": source } }),
    );
    set("connect_timeout", json!(seconds(connect)));
    let (policy, value) = balance(args.policy);
    set(policy, value);
    let panic = json!({ "value": args.tolerance.panic_threshold });
    // By default, changes within a second are merged, and until then an ejected server gets requests.
    let common = json!({ "healthy_panic_threshold": panic, "update_merge_window": "0s" });
    set("common_lb_config", common);
    set("ignore_health_on_host_removal", json!(true));
    set("circuit_breakers", json!({ "thresholds": [limits()] }));
    let idle = json!({ "idle_timeout": seconds(args.upstream_idle_timeout.into()) });
    set(
        "typed_extension_protocol_options",
        json!({ "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": http,
            "common_http_protocol_options": idle,
            "explicit_http_config": { "http_protocol_options": {} },
        } }),
    );
    if let Some(check) = health(args) {
        set("health_checks", json!([check]));
    }
    if args.tolerance.passive_fall > 0 {
        set("outlier_detection", outliers(args.tolerance.passive_fall));
    }
    cluster.into()
}

/// Returns the field for a policy, and its value.
fn balance(policy: PolicyName) -> (&'static str, Value) {
    match policy {
        PolicyName::RoundRobin | PolicyName::Sticky => ("lb_policy", json!("ROUND_ROBIN")),
        // Envoy's default is to pick the less busy of two drawn at random.
        PolicyName::TwoChoices => ("lb_policy", json!("LEAST_REQUEST")),
        PolicyName::LeastBusy => {
            let least = json!({
                "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
                "selection_method": "FULL_SCAN",
            });
            let policy =
                json!({ "name": "envoy.load_balancing_policies.least_request", "typed_config": least });
            ("load_balancing_policy", json!({ "policies": [{ "typed_extension_config": policy }] }))
        }
    }
}

/// Limits retries by the budget of the contract, and nothing else.
fn limits() -> Value {
    json!({
        "max_connections": NO_LIMIT,
        "max_pending_requests": NO_LIMIT,
        "max_requests": NO_LIMIT,
        "retry_budget": { "budget_percent": { "value": 20 } },
    })
}

fn health(args: &Args) -> Option<Value> {
    let (kind, how) = match args.health {
        HealthName::Off => return None,
        HealthName::Connect => ("tcp_health_check", json!({})),
        HealthName::On => (
            "http_health_check",
            json!({
                "path": args.health_path.as_str(),
                "expected_statuses": [{ "start": 200, "end": 300 }],
                // Otherwise one bad response would be enough.
                "retriable_statuses": [{ "start": 300, "end": 600 }],
            }),
        ),
    };
    let interval = seconds(args.health_interval.into());
    Some(json!({
        kind: how,
        "timeout": seconds(args.health_timeout.into()),
        "interval": interval,
        // Otherwise a server without requests is checked only once a minute.
        "no_traffic_interval": interval,
        "unhealthy_threshold": args.fall,
        "healthy_threshold": args.rise,
    }))
}

fn outliers(fall: u32) -> Value {
    json!({
        "consecutive_5xx": fall,
        "enforcing_consecutive_5xx": 100,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_failure_percentage": 0,
        "interval": SWEEP,
        "base_ejection_time": EJECTION,
        "max_ejection_percent": 50,
    })
}

fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs_f64().max(0.001))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn args(more: &[&str]) -> Args {
        Args::parse_from(["lb", "--upstream", "web-1=127.0.0.1:9001;weight=3"].iter().chain(more))
    }

    fn config(more: &[&str]) -> Value {
        let path = Path::new;
        bootstrap(&args(more), path("/run/x"), path("/run/x/s.sock"), path("/run/x/servers.json"))
    }

    fn cluster_of(document: &Value) -> &Value {
        &document["static_resources"]["clusters"][0]
    }

    fn routes_of(document: &Value) -> &Value {
        let filter = &document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0];
        &filter["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    }

    #[test]
    fn servers_are_checked_as_the_flags_say() {
        let document = config(&["--health-interval", "300ms", "--fall", "4", "--health-path", "/well"]);
        let check = &cluster_of(&document)["health_checks"][0];
        assert_eq!((&check["interval"], &check["unhealthy_threshold"]), (&json!("0.3s"), &json!(4)));
        assert_eq!(check["http_health_check"]["path"], "/well");
        let document = config(&["--health", "connect"]);
        assert!(cluster_of(&document)["health_checks"][0].get("tcp_health_check").is_some());
        assert!(cluster_of(&config(&["--health", "off"])).get("health_checks").is_none());
    }

    #[test]
    fn what_may_not_be_sent_twice_is_not() {
        let document = config(&["--retries", "1", "--try-timeout", "200ms", "--request-timeout", "1s"]);
        let routes = routes_of(&document);
        let retry = |at: usize| routes[at]["route"]["retry_policy"]["retry_on"].clone();
        assert_eq!((retry(0), retry(1)), (json!("5xx"), json!("connect-failure")), "{document}");
        assert!(routes[0]["match"].get("headers").is_some() && routes[1]["match"].get("headers").is_none());
        assert_eq!(routes[0]["route"]["retry_policy"]["per_try_timeout"], "0.2s");
        assert_eq!(routes[0]["route"]["timeout"], "1s");
        let never = config(&[]);
        assert!(routes_of(&never)[0]["route"].get("retry_policy").is_none());
    }

    #[test]
    fn failures_take_a_server_out_only_when_the_flags_say_so() {
        let document = config(&["--passive-fall", "3"]);
        assert_eq!(cluster_of(&document)["outlier_detection"]["consecutive_5xx"], 3);
        assert!(cluster_of(&config(&[])).get("outlier_detection").is_none());
    }

    #[test]
    fn one_that_leaves_is_drained_and_all_are_named() {
        let mut servers = check(&args(&[])).unwrap();
        servers.push(Server { leaves: true, ..Server::new("web-2", "[::1]:9", 1).unwrap() });
        let document = endpoints(&servers);
        let endpoints = &document["resources"][0]["endpoints"][0]["lb_endpoints"];
        assert_eq!(endpoints[0]["load_balancing_weight"], 3);
        assert_eq!(endpoints[0]["health_status"], "UNKNOWN");
        assert_eq!(endpoints[1]["health_status"], "DRAINING");
        assert_eq!(endpoints[1]["metadata"]["filter_metadata"]["lab"]["name"], "web-2");
        assert_eq!(endpoints[1]["endpoint"]["address"]["socket_address"]["address"], "::1");
    }

    #[test]
    fn what_envoy_cannot_is_refused_with_the_reason() {
        assert!(check(&args(&["--policy", "two-choices"])).is_ok());
        let error = check(&args(&["--policy", "sticky"])).unwrap_err();
        assert!(error.starts_with("--policy sticky: Envoy"), "{error}");
        let error = check(&args(&["--upstream", "web-2=web-2:9001"])).unwrap_err();
        assert!(error.contains("'web-2' at web-2:9001: Envoy takes servers by IP addresses"), "{error}");
    }
}
