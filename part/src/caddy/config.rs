//! Translates the flags of `lb` into Caddy's configuration. Pure.

use std::path::Path;
use std::time::Duration;

use lb::Args;
use lb::choose::PolicyName;
use lb::config::HealthName;
use serde_json::{Map, Value, json};

/// How long a failed request counts against its server.
const COUNTS_FOR: &str = "10s";
/// The logger that reports which servers were taken out or back in.
pub(super) const EVENTS: &str = "events";

/// An upstream in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) weight: u32,
    /// Whether it is draining: it gets no new requests, and the old ones are still counted.
    pub(super) leaves: bool,
}

/// Refuses flags that Caddy cannot implement, with a sentence.
pub(super) fn check(args: &Args) -> Result<(), String> {
    if args.pair.pair_id.is_some() {
        return Err("--pair-id: Caddy does not share an address; keepalived beside it does that".into());
    }
    match args.policy {
        PolicyName::Sticky => Err("--policy sticky: Caddy's cookies are not those of the contract".into()),
        _ => Ok(()),
    }
}

/// Returns the whole document.
pub(super) fn document(args: &Args, servers: &[Server], socket: &Path) -> Value {
    let mut routes = Vec::new();
    let leaving: Vec<_> = servers.iter().filter(|server| server.leaves).collect();
    if !leaving.is_empty() {
        // This route never matches: Caddy counts the requests only of servers that some handler names.
        let dials: Vec<_> = leaving.iter().map(|server| json!({ "dial": server.address })).collect();
        let handler = json!({ "handler": "reverse_proxy", "upstreams": dials });
        routes.push(json!({ "match": [{ "expression": "false" }], "handle": [handler] }));
    }
    routes.push(json!({ "handle": handlers(args, servers) }));
    let server = json!({
        "listen": [args.listen.to_string()],
        "protocols": ["h1"],
        "automatic_https": { "disable": true },
        "read_header_timeout": ms(args.header_timeout.into()),
        "idle_timeout": ms(args.idle_timeout.into()),
        "max_header_bytes": args.max_header_bytes.as_u64(),
        "routes": routes,
    });
    json!({
        "admin": { "listen": format!("unix/{}", socket.display()), "config": { "persist": false } },
        "logging": { "logs": logs() },
        "apps": { "http": {
            "grace_period": ms(args.startup.drain_timeout.into()),
            "servers": { "lb": server },
        } },
    })
}

/// Sends events to standard output, which the adapter reads, and everything else to standard error.
fn logs() -> Value {
    json!({
        "default": {
            "level": "WARN",
            "writer": { "output": "stderr" },
            "encoder": { "format": "json" },
            // A failed request is for the client to report, and the admin interface is a socket of our own.
            "exclude": [EVENTS, "admin", "http.log.error"],
        },
        "events": {
            "level": "DEBUG",
            "writer": { "output": "stdout" },
            "encoder": { "format": "json" },
            "include": [EVENTS],
        },
    })
}

fn handlers(args: &Args, servers: &[Server]) -> Vec<Value> {
    let mut handlers = Vec::new();
    if args.max_body_bytes.as_u64() > 0 {
        handlers.push(json!({ "handler": "request_body", "max_size": args.max_body_bytes.as_u64() }));
    }
    let names: Vec<_> = servers
        .iter()
        .map(|Server { name, address, .. }| json!({ "input": address, "outputs": [name] }))
        .collect();
    // It is evaluated when the response head is written: by then it is known which server answered.
    handlers.push(json!({
        "handler": "map",
        "source": "{http.reverse_proxy.upstream.hostport}",
        "destinations": ["{served_by}"],
        "mappings": names,
    }));
    handlers.push(proxy(args, servers));
    handlers
}

fn proxy(args: &Args, servers: &[Server]) -> Value {
    let try_timeout: Duration = args.try_timeout.unwrap_or(args.request_timeout).into();
    let try_timeout = try_timeout.min(args.request_timeout.into());
    let taking: Vec<_> = servers.iter().filter(|server| !server.leaves).collect();
    let dials: Vec<_> = taking.iter().map(|server| json!({ "dial": server.address })).collect();
    let mut balancing = Map::new();
    balancing.insert("selection_policy".into(), balance(args.policy, &taking));
    balancing.insert("retries".into(), json!(args.tolerance.retries));
    // By default, Caddy waits 250 ms between tries.
    balancing.insert("try_interval".into(), json!("1ms"));
    let forwarded: &[&str] = match args.forwarded {
        lb::proxy::headers::ForwardedPolicy::Append => &["0.0.0.0/0", "::/0"],
        lb::proxy::headers::ForwardedPolicy::Replace => &[],
    };
    json!({
        "handler": "reverse_proxy",
        "upstreams": dials,
        "trusted_proxies": forwarded,
        "load_balancing": balancing,
        "health_checks": health(args),
        "headers": { "response": { "set": { "X-Served-By": ["{served_by}"] } } },
        "transport": {
            "protocol": "http",
            "dial_timeout": ms(Duration::from(args.connect_timeout).min(try_timeout)),
            "response_header_timeout": ms(try_timeout),
            "keep_alive": { "idle_timeout": ms(args.upstream_idle_timeout.into()) },
        },
    })
}

fn balance(policy: PolicyName, servers: &[&Server]) -> Value {
    match policy {
        PolicyName::LeastBusy => json!({ "policy": "least_conn" }),
        PolicyName::TwoChoices => json!({ "policy": "random_choose", "choose": 2 }),
        PolicyName::RoundRobin | PolicyName::Sticky if servers.iter().any(|server| server.weight != 1) => {
            let weights: Vec<_> = servers.iter().map(|server| server.weight).collect();
            json!({ "policy": "weighted_round_robin", "weights": weights })
        }
        PolicyName::RoundRobin | PolicyName::Sticky => json!({ "policy": "round_robin" }),
    }
}

fn health(args: &Args) -> Value {
    let mut checks = Map::new();
    // Caddy has no check that only connects.
    if args.health == HealthName::On {
        let active = json!({
            "uri": args.health_path.as_str(),
            "interval": ms(args.health_interval.into()),
            "timeout": ms(args.health_timeout.into()),
            "passes": args.rise,
            "fails": args.fall,
            "expect_status": 2,
        });
        checks.insert("active".into(), active);
    }
    if args.tolerance.passive_fall > 0 {
        let fails = args.tolerance.passive_fall;
        let passive = json!({ "fail_duration": COUNTS_FOR, "max_fails": fails, "unhealthy_status": [5] });
        checks.insert("passive".into(), passive);
    }
    checks.into()
}

fn ms(duration: Duration) -> String {
    format!("{}ms", duration.as_millis().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn server(name: &str, address: &str, weight: u32) -> Server {
        Server { name: name.into(), address: address.into(), weight, leaves: false }
    }

    fn args(more: &[&str]) -> Args {
        Args::parse_from(["lb"].iter().chain(more))
    }

    fn config(more: &[&str], servers: &[Server]) -> Value {
        document(&args(more), servers, Path::new("/run/s.sock"))
    }

    /// Returns a handler of the last route.
    fn handler<'a>(document: &'a Value, name: &str) -> &'a Value {
        let routes = document["apps"]["http"]["servers"]["lb"]["routes"].as_array().unwrap();
        let handlers = routes.last().unwrap()["handle"].as_array().unwrap();
        handlers.iter().find(|handler| handler["handler"] == name).unwrap()
    }

    #[test]
    fn servers_are_checked_as_the_flags_say_and_named_in_answers() {
        let flags = ["--health-interval", "300ms", "--fall", "4", "--health-path", "/well"];
        let document = config(&flags, &[server("web-1", "127.0.0.1:9001", 1)]);
        let proxy = handler(&document, "reverse_proxy");
        let active = &proxy["health_checks"]["active"];
        assert_eq!((&active["interval"], &active["fails"]), (&json!("300ms"), &json!(4)), "{document}");
        assert_eq!(active["uri"], "/well");
        assert!(proxy["health_checks"].get("passive").is_none());
        let names = &handler(&document, "map")["mappings"];
        assert_eq!(names, &json!([{ "input": "127.0.0.1:9001", "outputs": ["web-1"] }]));
        assert_eq!(document["admin"]["listen"], "unix//run/s.sock");
    }

    #[test]
    fn without_checks_there_are_none_and_caddy_does_not_connect_only() {
        for health in ["off", "connect"] {
            let document = config(&["--health", health], &[]);
            assert_eq!(handler(&document, "reverse_proxy")["health_checks"], json!({}));
        }
    }

    #[test]
    fn failures_and_tries_are_counted_as_the_flags_say() {
        let flags = ["--passive-fall", "3", "--retries", "1", "--try-timeout", "200ms"];
        let document = config(&flags, &[server("web-1", "127.0.0.1:9001", 1)]);
        let proxy = handler(&document, "reverse_proxy");
        assert_eq!(proxy["health_checks"]["passive"]["max_fails"], 3);
        assert_eq!(proxy["load_balancing"]["retries"], 1);
        assert_eq!(proxy["transport"]["response_header_timeout"], "200ms");
        // The time to connect never exceeds that of a try.
        assert_eq!(proxy["transport"]["dial_timeout"], "200ms");
    }

    #[test]
    fn weights_are_given_only_where_there_are_any() {
        let equal = [server("web-1", "127.0.0.1:1", 1), server("web-2", "127.0.0.1:2", 1)];
        let policy = |document: &Value| {
            handler(document, "reverse_proxy")["load_balancing"]["selection_policy"].clone()
        };
        assert_eq!(policy(&config(&[], &equal)), json!({ "policy": "round_robin" }));
        let weighted = [server("web-1", "127.0.0.1:1", 3), server("web-2", "127.0.0.1:2", 1)];
        let expected = json!({ "policy": "weighted_round_robin", "weights": [3, 1] });
        assert_eq!(policy(&config(&[], &weighted)), expected);
        assert_eq!(
            policy(&config(&["--policy", "least-busy"], &weighted)),
            json!({ "policy": "least_conn" })
        );
    }

    #[test]
    fn one_that_leaves_is_sent_nothing_and_still_counted() {
        let stays = server("web-1", "127.0.0.1:1", 1);
        let leaves = Server { leaves: true, ..server("web-2", "127.0.0.1:2", 1) };
        let document = config(&[], &[stays, leaves]);
        assert_eq!(handler(&document, "reverse_proxy")["upstreams"], json!([{ "dial": "127.0.0.1:1" }]));
        let counted = &document["apps"]["http"]["servers"]["lb"]["routes"][0];
        assert_eq!(counted["match"], json!([{ "expression": "false" }]));
        assert_eq!(counted["handle"][0]["upstreams"], json!([{ "dial": "127.0.0.1:2" }]));
    }

    #[test]
    fn what_caddy_cannot_is_refused_with_the_reason() {
        assert!(check(&args(&["--policy", "two-choices"])).is_ok());
        let error = check(&args(&["--policy", "sticky"])).unwrap_err();
        assert!(error.starts_with("--policy sticky: Caddy"), "{error}");
    }
}
