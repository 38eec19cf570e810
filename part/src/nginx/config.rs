//! Translates the flags of `lb` into nginx's configuration. Pure.

use std::fmt::Write as _;
use std::path::Path;

use lb::Args;
use lb::choose::PolicyName;

/// An upstream in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) weight: u32,
}

/// Returns the directive for a policy; policies that nginx lacks have been refused before.
fn balance(policy: PolicyName) -> &'static str {
    match policy {
        PolicyName::RoundRobin | PolicyName::Sticky => "",
        PolicyName::LeastBusy => "        least_conn;\n",
        PolicyName::TwoChoices => "        random two least_conn;\n",
    }
}

/// Refuses flags that nginx cannot implement, with a sentence.
pub(super) fn check(args: &Args) -> Result<(), String> {
    if args.pair.pair_id.is_some() {
        return Err("--pair-id: nginx does not share an address; keepalived beside it does that".into());
    }
    match args.policy {
        PolicyName::Sticky => Err("--policy sticky: nginx's cookies are not those of the contract".into()),
        _ => Ok(()),
    }
}

/// Returns the whole file. Everything that nginx writes is in `directory`.
pub(super) fn text(args: &Args, servers: &[Server], directory: &Path, is_root: bool) -> String {
    let ms = |duration: humantime::Duration| duration.as_millis().max(1);
    let directory = directory.display();
    let try_timeout = args.try_timeout.unwrap_or(args.request_timeout).min(args.request_timeout);
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|what| format!("    {what}_temp_path {directory}/{what};\n")).concat();
    format!(
        "daemon off;\n{user}worker_processes {threads};\npid {directory}/nginx.pid;\nerror_log stderr warn;\n\
         worker_shutdown_timeout {drain}ms;\nevents {{ worker_connections 4096; }}\nhttp {{\n    access_log off;\n\
         {temporary}    keepalive_timeout {idle}ms;\n    client_header_timeout {header}ms;\n    \
         client_max_body_size {body};\n{names}    upstream web {{\n        zone web 256k;\n{balance}{upstreams}        \
         keepalive 64;\n        keepalive_timeout {upstream_idle}ms;\n    }}\n    server {{\n        listen {listen};\n        \
         location / {{\n            proxy_pass http://web;\n            proxy_http_version 1.1;\n            \
         proxy_set_header Connection \"\";\n            proxy_set_header Host $http_host;\n            \
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n            \
         proxy_set_header X-Forwarded-Proto $scheme;\n            proxy_connect_timeout {connect}ms;\n            \
         proxy_read_timeout {read}ms;\n{retries}            add_header X-Served-By $served_by always;\n        \
         }}\n    }}\n}}\n",
        user = if is_root { "user root;\n" } else { "" },
        threads = args.threads.map_or("auto".into(), |threads| threads.to_string()),
        drain = ms(args.startup.drain_timeout),
        idle = ms(args.idle_timeout),
        header = ms(args.header_timeout),
        body = args.max_body_bytes.as_u64(),
        names = names(servers),
        balance = balance(args.policy),
        upstreams = upstreams(servers, args.tolerance.passive_fall),
        upstream_idle = ms(args.upstream_idle_timeout),
        listen = args.listen,
        connect = ms(args.connect_timeout).min(try_timeout.as_millis().max(1)),
        read = try_timeout.as_millis().max(1),
        retries = retries(args.tolerance.retries, args.tolerance.passive_fall),
    )
}

/// Maps upstream addresses to names. nginx lists the addresses that it tried: the last of them answered.
fn names(servers: &[Server]) -> String {
    let mut text = String::from("    map $upstream_addr $served_by {\n        default \"\";\n");
    for Server { name, address, .. } in servers {
        let _ = writeln!(text, "        \"~(^|[ ,]){}$\" {name};", address.replace('.', "\\."));
    }
    text + "    }\n"
}

fn upstreams(servers: &[Server], passive_fall: u32) -> String {
    let server = |Server { address, weight, .. }: &Server| {
        format!("        server {address} weight={weight} max_fails={passive_fall} fail_timeout=10s;\n")
    };
    match servers {
        // An upstream without a server is an error to nginx.
        [] => "        server 127.0.0.1:1 down;\n".into(),
        servers => servers.iter().map(server).collect(),
    }
}

/// In nginx, the errors that count as failures are those that are retried; it never repeats a POST unless told to.
fn retries(retries: u32, passive_fall: u32) -> String {
    if retries == 0 && passive_fall == 0 {
        return "            proxy_next_upstream off;\n".into();
    }
    format!(
        "            proxy_next_upstream error timeout http_500 http_502 http_503 http_504;\n            \
         proxy_next_upstream_tries {};\n",
        retries + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn config(more: &[&str]) -> String {
        let args = Args::parse_from(["lb"].iter().chain(more));
        let server = Server { name: "web-1".into(), address: "127.0.0.1:9001".into(), weight: 3 };
        text(&args, &[server], Path::new("/run/x"), false)
    }

    #[test]
    fn a_server_is_named_by_its_address_and_taken_out_after_failures() {
        let text = config(&["--passive-fall", "3"]);
        assert!(text.contains("server 127.0.0.1:9001 weight=3 max_fails=3 fail_timeout=10s;"), "{text}");
        assert!(text.contains("\"~(^|[ ,])127\\.0\\.0\\.1:9001$\" web-1;"), "{text}");
        assert!(text.contains("proxy_next_upstream_tries 1;"), "{text}");
    }

    #[test]
    fn without_retries_nothing_is_tried_elsewhere() {
        assert!(config(&[]).contains("proxy_next_upstream off;"));
        let text = config(&["--retries", "1", "--try-timeout", "200ms"]);
        assert!(text.contains("proxy_next_upstream_tries 2;") && text.contains("proxy_read_timeout 200ms;"));
    }

    #[test]
    fn what_nginx_cannot_is_refused_with_the_reason() {
        let args = |more: &[&str]| Args::parse_from(["lb"].iter().chain(more));
        assert!(check(&args(&["--policy", "two-choices"])).is_ok());
        assert!(check(&args(&["--policy", "sticky"])).unwrap_err().starts_with("--policy sticky: nginx"));
    }
}
