//! The flags of `lb` as Traefik's configuration: one file that stays, and one with the servers, which Traefik reads
//! again whenever it is replaced. Pure.
#![deny(clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use lb::Args;
use lb::choose::PolicyName;
use lb::config::HealthName;
use serde_json::{Map, Value, json};

/// Where clients come in.
const DOOR: &str = "lb";
/// Where Traefik serves its own interface, by its name for that.
const INTERFACE: &str = "traefik";
/// How servers are connected to.
const TRANSPORT: &str = "web";
/// What may be sent twice is tried again after an answer of 5xx; everything else only where nothing was sent.
const REPEAT: &str = "repeat";
const RECONNECT: &str = "reconnect";
/// Requests that may be sent twice.
const REPEATABLE: &str = "Method(`GET`) || Method(`HEAD`) || Method(`OPTIONS`)";
/// The cookie of the contract.
const COOKIE: &str = "lb-sticky";
/// How long a failed request counts against its server, and how long a server that requests have taken out stays out.
const COUNTS_FOR: &str = "10s";

/// An upstream as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) weight: u32,
}

/// What a server is called by Traefik.
pub(super) fn url(address: &str) -> String {
    format!("http://{address}")
}

/// What the servers are called together, in the configuration of this number. Each has a name of its own: so it can
/// be seen when Traefik has taken it, and what was counted before is not mistaken for what is so now.
pub(super) fn service(number: u64) -> String {
    format!("web-{number}")
}

/// What Traefik cannot be told, as a sentence.
pub(super) fn check(args: &Args) -> Result<(), String> {
    match args.pair.pair_id {
        Some(_) => {
            Err("--pair-id: Traefik does not share an address; keepalived beside it does that".to_owned())
        }
        None => Ok(()),
    }
}

/// The file that stays. `servers` is the other one.
pub(super) fn fixed(args: &Args, interface: SocketAddr, servers: &Path) -> Value {
    let quiet = json!({ "accessLogs": false, "metrics": false, "tracing": false });
    let mut document = json!({
        "global": { "checkNewVersion": false, "sendAnonymousUsage": false },
        "log": { "level": "ERROR", "noColor": true },
        "api": { "insecure": true, "dashboard": false },
        // A change is taken at once, and not two seconds after the one before.
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
            // The adapter has taken this port already, so that nobody else does before Traefik.
            INTERFACE: { "address": interface.to_string(), "reusePort": true, "observability": quiet },
        },
    });
    if counts_failures(args) {
        // Nothing else says that requests have taken a server out.
        document["metrics"] =
            json!({ "prometheus": { "addEntryPointsLabels": false, "addServicesLabels": true } });
    }
    document
}

/// Whether failed requests take a server out.
pub(super) fn counts_failures(args: &Args) -> bool {
    args.tolerance.passive_fall > 0
}

/// The file with the servers.
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
        // The first try is one of them.
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
    // A check that only connects is not among those that Traefik has.
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
        // Requests in flight, times how long answers took: nothing that it has is nearer.
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
        // One that is out is looked at as often.
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
        // No time to connect is longer than a try.
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
