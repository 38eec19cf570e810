//! Translates the flags of `lb` into HAProxy's configuration. Pure.

use std::path::Path;
use std::time::Duration;

use lb::Args;
use lb::choose::PolicyName;
use lb::config::HealthName;

/// The name of the one backend.
pub(super) const BACKEND: &str = "web";
/// How long a server stays out that was taken out because of its requests, if there are no health checks.
const EJECTION: Duration = Duration::from_secs(10);
/// More failed checks in a row than ever occur.
const NEVER: u32 = 1_000_000;

/// Refuses flags that HAProxy cannot implement, with a sentence.
pub(super) fn check(args: &Args) -> Result<(), String> {
    if args.pair.pair_id.is_some() {
        return Err("--pair-id: HAProxy does not share an address; keepalived beside it does that".into());
    }
    if args.policy == PolicyName::Sticky {
        return Err("--policy sticky: HAProxy's cookies are not those of the contract".into());
    }
    Ok(())
}

/// Returns the whole file.
pub(super) fn text(args: &Args, socket: &Path) -> String {
    let ms = |duration: humantime::Duration| duration.as_millis().max(1);
    let try_timeout = args.try_timeout.unwrap_or(args.request_timeout).min(args.request_timeout);
    let threads = args.threads.map(|threads| format!("    nbthread {threads}\n")).unwrap_or_default();
    let servers: String = args
        .upstreams
        .iter()
        .map(|upstream| {
            let weight = upstream.weight;
            format!("    server {} {} weight {weight} {}\n", upstream.name, upstream.address, server(args))
        })
        .collect();
    format!(
        "global\n    stats socket {socket} mode 600 level admin\n{threads}    \
         tune.bufsize {buffer}\n    tune.pool-high-fd-ratio 40\n\
         defaults\n    mode http\n    \
         timeout connect {connect}ms\n    timeout client {idle}ms\n    timeout http-request {header}ms\n    \
         timeout http-keep-alive {idle}ms\n    timeout server {server_timeout}ms\n    timeout check {check}ms\n    \
         timeout queue {request}ms\n\
         frontend in\n    bind {listen}\n    maxconn {connections}\n    option forwardfor\n    \
         http-request set-header X-Forwarded-Proto http\n    default_backend {BACKEND}\n\
         backend {BACKEND}\n    balance {balance}\n    http-response set-header X-Served-By %s\n\
         {retries}{health}{servers}",
        socket = socket.display(),
        buffer = args.max_header_bytes.as_u64().clamp(16 * 1024, 128 * 1024),
        connect = ms(args.connect_timeout).min(try_timeout.as_millis().max(1)),
        idle = ms(args.idle_timeout),
        header = ms(args.header_timeout),
        server_timeout = try_timeout.as_millis().max(1),
        check = ms(args.health_timeout),
        request = ms(args.request_timeout),
        listen = args.listen,
        connections = args.max_connections,
        balance = balance(args.policy),
        retries = retries(args.tolerance.retries),
        health = health(args),
    )
}

/// Returns the options of a server line; they also apply when it is added at runtime.
pub(super) fn server(args: &Args) -> String {
    let ms = |duration: Duration| duration.as_millis().max(1);
    let idle = format!("pool-purge-delay {}ms", ms(args.upstream_idle_timeout.into()).min(4000));
    let passive = match args.tolerance.passive_fall {
        0 => String::new(),
        fall => format!(" observe layer7 error-limit {fall} on-error mark-down"),
    };
    match (args.health, passive.is_empty()) {
        (HealthName::Off, true) => idle,
        // HAProxy observes the requests only of servers that it also checks: the checks here are so rare that all they
        // do is bring a server back.
        (HealthName::Off, false) => {
            let out = ms(EJECTION);
            format!("{idle} check inter {out}ms downinter {out}ms rise 1 fall {NEVER}{passive}")
        }
        (HealthName::On | HealthName::Connect, _) => {
            let (interval, fall, rise) = (ms(args.health_interval.into()), args.fall, args.rise);
            format!("{idle} check inter {interval}ms fall {fall} rise {rise}{passive}")
        }
    }
}

fn balance(policy: PolicyName) -> &'static str {
    match policy {
        PolicyName::LeastBusy => "leastconn",
        PolicyName::TwoChoices => "random(2)",
        PolicyName::RoundRobin | PolicyName::Sticky => "roundrobin",
    }
}

/// Retries requests that may be repeated, and any request that no server has accepted a connection for.
fn retries(retries: u32) -> String {
    match retries {
        0 => "    retries 0\n".into(),
        retries => format!(
            "    retries {retries}\n    option redispatch 1\n    \
             retry-on conn-failure empty-response junk-response response-timeout 500 502 503 504\n    \
             http-request disable-l7-retry unless METH_GET\n"
        ),
    }
}

fn health(args: &Args) -> String {
    match args.health {
        HealthName::On => {
            format!("    option httpchk GET {}\n    http-check expect status 200-299\n", args.health_path)
        }
        HealthName::Connect | HealthName::Off => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn args(more: &[&str]) -> Args {
        let first =
            ["lb", "--upstream", "web-1=127.0.0.1:9001", "--upstream", "web-2=127.0.0.1:9002;weight=3"];
        Args::parse_from(first.iter().chain(more))
    }

    fn config(more: &[&str]) -> String {
        text(&args(more), Path::new("/run/s.sock"))
    }

    #[test]
    fn every_server_is_checked_as_the_flags_say() {
        let text = config(&["--health-interval", "300ms", "--fall", "4", "--health-path", "/well"]);
        assert!(text.contains("option httpchk GET /well\n"), "{text}");
        assert!(text.contains("server web-2 127.0.0.1:9002 weight 3 "), "{text}");
        assert!(text.contains("check inter 300ms fall 4 rise 2\n"), "{text}");
        assert!(!config(&["--health", "connect"]).contains("httpchk"));
        assert!(!config(&["--health", "off"]).contains(" check inter"));
    }

    #[test]
    fn what_may_not_be_sent_twice_is_not() {
        let text = config(&["--retries", "1", "--try-timeout", "200ms"]);
        assert!(text.contains("retries 1\n    option redispatch 1\n"), "{text}");
        assert!(text.contains("disable-l7-retry unless METH_GET") && text.contains("timeout server 200ms"));
        assert!(config(&[]).contains("retries 0\n") && !config(&[]).contains("retry-on"));
    }

    #[test]
    fn what_haproxy_cannot_is_refused_with_the_reason() {
        assert!(check(&args(&[])).is_ok());
        let error = check(&args(&["--policy", "sticky"])).unwrap_err();
        assert!(error.starts_with("--policy sticky: "), "{error}");
    }
}
