//! Translates the flags of `lb` into Traefik's configuration: a static file, and a dynamic one with the servers, which
//! Traefik reloads whenever it is replaced. Pure.
#![deny(clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use lb::Args;
use lb::choose::PolicyName;
use lb::config::HealthName;
use serde_json::{Map, Value, json};

/// The entry point for clients.
const DOOR: &str = "lb";
/// The entry point of Traefik's own API; the name is Traefik's.
const INTERFACE: &str = "traefik";
/// The settings for connections to servers (a `serversTransport`).
const TRANSPORT: &str = "web";
/// The retry middlewares: idempotent requests are retried after a 5xx response, all others only if nothing was sent.
const REPEAT: &str = "repeat";
const RECONNECT: &str = "reconnect";
/// Matches the requests that may be sent twice.
const REPEATABLE: &str = "Method(`GET`) || Method(`HEAD`) || Method(`OPTIONS`)";
/// The name of the stickiness cookie, by the contract.
const COOKIE: &str = "lb-sticky";
/// How long a failed request counts against its server, and how long a server stays ejected after too many of them
/// (outlier ejection).
const COUNTS_FOR: &str = "10s";

/// An upstream as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) weight: u32,
}

/// Returns the URL by which Traefik identifies a server.
pub(super) fn url(address: &str) -> String {
    format!("http://{address}")
}

/// Returns the name of the service in the configuration with this number. Each configuration has a name of its own: it
/// shows when Traefik has loaded it, and keeps old metrics apart from current ones.
pub(super) fn service(number: u64) -> String {
    format!("web-{number}")
}

/// Rejects flags that Traefik cannot implement; the error is a sentence.
pub(super) fn check(args: &Args) -> Result<(), String> {
    match args.pair.pair_id {
        Some(_) => {
            Err("--pair-id: Traefik does not share an address; keepalived beside it does that".to_owned())
        }
        None => Ok(()),
    }
}

/// Returns the static configuration. `servers` is the path of the dynamic one.
pub(super) fn fixed(args: &Args, interface: SocketAddr, servers: &Path) -> Value {
    let quiet = json!({ "accessLogs": false, "metrics": false, "tracing": false });
    let mut document = json!({
        "global": { "checkNewVersion": false, "sendAnonymousUsage": false },
        "log": { "level": "ERROR", "noColor": true },
        "api": { "insecure": true, "dashboard": false },
        // Changes are loaded at once. By default Traefik waits two seconds after the previous one.
        "providers": {
            "providersThrottleDuration": "0s",
            "file": { "filename": servers, "watch": true },
        },
        "entryPoints": {
            DOOR: {
                "address": args.listen.to_string(),
                "forwardedHeaders": {
                    "insecure": args.forwarded == lb::proxy::headers::ForwardedPolicy::Append,
                },
                "http": { "maxHeaderBytes": args.max_header_bytes.as_u64(), "sanitizePath": false },
                "transport": {
                    "lifeCycle": { "graceTimeOut": ms(args.startup.drain_timeout.into()) },
                    "respondingTimeouts": {
                        "readTimeout": ms(args.header_timeout.into()),
                        "idleTimeout": ms(args.idle_timeout.into()),
                    },
                },
                "observability": &quiet,
            },
            // The adapter has reserved this port, so that no other process takes it before Traefik binds it.
            INTERFACE: { "address": interface.to_string(), "reusePort": true, "observability": quiet },
        },
    });
    if counts_failures(args) {
        // Only the metrics tell that failed requests have ejected a server.
        document["metrics"] =
            json!({ "prometheus": { "addEntryPointsLabels": false, "addServicesLabels": true } });
    }
    document
}

/// Returns whether failed requests eject a server.
pub(super) fn counts_failures(args: &Args) -> bool {
    args.tolerance.passive_fall > 0
}

/// Returns the dynamic configuration, with the servers.
pub(super) fn changing(args: &Args, servers: &[Server], number: u64) -> Value {
    let service = service(number);
    let try_timeout: Duration = args.try_timeout.unwrap_or(args.request_timeout).into();
    let try_timeout = try_timeout.min(args.request_timeout.into());
    let transport = json!({ "forwardingTimeouts": {
        "dialTimeout": ms(Duration::from(args.connect_timeout).min(try_timeout)),
        "responseHeaderTimeout": ms(try_timeout),
        "idleConnTimeout": ms(args.upstream_idle_timeout.into()),
    } });
    let mut http = json!({
        "services": { &service: { "loadBalancer": balancer(args, servers) } },
        "serversTransports": { TRANSPORT: transport },
    });
    let route = |rule: &str, priority: u32, middlewares: &[&str]| {
        let mut route = json!({
            "entryPoints": [DOOR], "rule": rule, "priority": priority, "service": service,
        });
        if !middlewares.is_empty() {
            route["middlewares"] = json!(middlewares);
        }
        route
    };
    let everything = "PathPrefix(`/`)";
    if args.tolerance.retries == 0 {
        http["routers"] = json!({ "all": route(everything, 1, &[]) });
    } else {
        // Traefik counts the first try as an attempt.
        let attempts = args.tolerance.retries + 1;
        let timeout = ms(args.request_timeout.into());
        http["middlewares"] = json!({
            REPEAT: { "retry": { "attempts": attempts, "timeout": &timeout, "status": ["500-599"] } },
            RECONNECT: { "retry": { "attempts": attempts, "timeout": &timeout } },
        });
        http["routers"] = json!({
            "repeatable": route(REPEATABLE, 2, &[REPEAT]),
            "all": route(everything, 1, &[RECONNECT]),
        });
    }
    json!({ "http": http })
}

fn balancer(args: &Args, servers: &[Server]) -> Value {
    let servers: Vec<_> = servers
        .iter()
        .map(|server| json!({ "url": url(&server.address), "weight": server.weight }))
        .collect();
    let mut balancer = Map::new();
    let mut set = |key: &str, value| balancer.insert(key.to_owned(), value);
    set("servers", json!(servers));
    set("strategy", json!(strategy(args.policy)));
    set("serversTransport", json!(TRANSPORT));
    if args.policy == PolicyName::Sticky {
        let cookie = json!({ "name": COOKIE, "path": "/", "httpOnly": true, "sameSite": "lax" });
        set("sticky", json!({ "cookie": cookie }));
    }
    // Traefik has no health check that only connects.
    if args.health == HealthName::On {
        let interval = ms(args.health_interval.into());
        let check = json!({
            "path": args.health_path.as_str(),
            "interval": &interval,
            "unhealthyInterval": &interval,
            "timeout": ms(args.health_timeout.into()),
            "followRedirects": false,
        });
        set("healthCheck", check);
    }
    if counts_failures(args) {
        let fall = args.tolerance.passive_fall;
        set("passiveHealthCheck", json!({ "maxFailedAttempts": fall, "failureWindow": COUNTS_FOR }));
    }
    balancer.into()
}

fn strategy(policy: PolicyName) -> &'static str {
    match policy {
        PolicyName::RoundRobin | PolicyName::Sticky => "wrr",
        PolicyName::TwoChoices => "p2c",
        // Weighs requests in flight by response time: the closest strategy that Traefik has.
        PolicyName::LeastBusy => "leasttime",
    }
}

fn ms(duration: Duration) -> String {
    format!("{}ms", duration.as_millis().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn args(more: &[&str]) -> Args {
        Args::parse_from(["lb"].iter().chain(more))
    }

    fn config(more: &[&str]) -> Value {
        let server = Server { name: "web-1".into(), address: "127.0.0.1:9001".into(), weight: 3 };
        changing(&args(more), &[server], 7)
    }

    fn balancer_of(document: &Value) -> &Value {
        &document["http"]["services"]["web-7"]["loadBalancer"]
    }

    #[test]
    fn servers_are_checked_as_the_flags_say() {
        let document = config(&["--health-interval", "300ms", "--health-path", "/well"]);
        let balancer = balancer_of(&document);
        assert_eq!(balancer["servers"], json!([{ "url": "http://127.0.0.1:9001", "weight": 3 }]));
        let check = &balancer["healthCheck"];
        assert_eq!((&check["interval"], &check["path"]), (&json!("300ms"), &json!("/well")), "{document}");
        // A server that is out is checked as often.
        assert_eq!(check["unhealthyInterval"], "300ms");
        assert!(balancer.get("passiveHealthCheck").is_none() && balancer.get("sticky").is_none());
    }

    #[test]
    fn without_checks_there_are_none_and_traefik_does_not_connect_only() {
        for health in ["off", "connect"] {
            let document = config(&["--health", health]);
            assert!(balancer_of(&document).get("healthCheck").is_none(), "{document}");
        }
    }

    #[test]
    fn failures_are_counted_and_told_only_when_the_flags_say_so() {
        let document = config(&["--passive-fall", "3"]);
        assert_eq!(balancer_of(&document)["passiveHealthCheck"]["maxFailedAttempts"], 3);
        let fixed = |more: &[&str]| {
            fixed(&args(more), "127.0.0.1:5000".parse().unwrap(), Path::new("/run/servers.yml"))
        };
        assert!(fixed(&["--passive-fall", "3"]).get("metrics").is_some());
        assert!(fixed(&[]).get("metrics").is_none());
    }

    #[test]
    fn what_may_not_be_sent_twice_is_not() {
        let document = config(&["--retries", "1", "--try-timeout", "200ms"]);
        let http = &document["http"];
        assert_eq!(http["routers"]["repeatable"]["middlewares"], json!(["repeat"]));
        assert_eq!(http["routers"]["all"]["middlewares"], json!(["reconnect"]));
        assert_eq!(http["middlewares"]["repeat"]["retry"]["attempts"], 2);
        assert!(http["middlewares"]["reconnect"]["retry"].get("status").is_none());
        // The connect timeout is never longer than a try.
        let timeouts = &http["serversTransports"]["web"]["forwardingTimeouts"];
        assert_eq!(
            (&timeouts["dialTimeout"], &timeouts["responseHeaderTimeout"]),
            (&json!("200ms"), &json!("200ms"))
        );
        let never = config(&[]);
        assert!(never["http"].get("middlewares").is_none());
        assert_eq!(never["http"]["routers"]["all"]["service"], "web-7");
    }

    #[test]
    fn every_policy_is_one_of_traefiks_and_a_cookie_binds_only_where_it_is_asked_to() {
        let of = |policy: &str| balancer_of(&config(&["--policy", policy])).clone();
        assert_eq!(of("round-robin")["strategy"], "wrr");
        assert_eq!(of("two-choices")["strategy"], "p2c");
        assert_eq!(of("least-busy")["strategy"], "leasttime");
        assert_eq!(of("sticky")["sticky"]["cookie"]["name"], "lb-sticky");
    }

    #[test]
    fn nobody_is_asked_for_a_newer_version_or_told_of_this_one() {
        let document = fixed(&args(&[]), "127.0.0.1:5000".parse().unwrap(), Path::new("/run/servers.yml"));
        assert_eq!(document["global"], json!({ "checkNewVersion": false, "sendAnonymousUsage": false }));
        assert_eq!(document["providers"]["file"]["filename"], "/run/servers.yml");
        assert_eq!(document["entryPoints"]["traefik"]["address"], "127.0.0.1:5000");
    }

    #[test]
    fn what_traefik_cannot_is_refused_with_the_reason() {
        assert!(check(&args(&["--policy", "sticky"])).is_ok());
        let pair = ["--pair-id", "a", "--pair-peer", "127.0.0.1:1", "--pair-listen", "127.0.0.1:2"];
        let error = check(&args(&pair)).unwrap_err();
        assert!(error.starts_with("--pair-id: Traefik"), "{error}");
    }
}
