//! Other programs in place of the lab's own: refused with a clear message, started, and judged by their abilities.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tests::Lab;
use tests::lab::{programs, shown};

/// Two servers behind a balancer; a third joins, and one is killed.
const CHAPTER: &str = r#"
number = 1
title = "Parts"
question = "Who stands in?"

[machine.lb]
lb = { upstreams = "web", health-interval = "300ms", fall = 2, rise = 1 }

[machine.pair]
count = 2
lb = { upstreams = "web", pair = true }

[machine.web]
count = 2
webserver = { db = "db", page-cost = "1ms" }

[machine.db]
dbnode = { products = 10 }

[traffic.shoppers]
to = "lb"
path = "/products/1"
arrivals = "constant"

[traffic.others]
to = "pair"
path = "/products/1"

[[step]]
name = "joins"
say = "A third server."
load = { shoppers = 60, others = 10 }
add = "web"
warmup = "300ms"
measure = "1s"

[[step.expect]]
claim = "It gets a third."
measure = "100 * share(joins, web-3)"
at-least = 28
at-most = 38

[[step.expect]]
claim = "The pair answers."
measure = "failed(joins, others)"
equals = 0

[[step]]
name = "dies"
say = "The first is killed."
kill = ["web-1"]
until = { ejected = "web-1", by = "lb", within = "8s" }

[[step.expect]]
claim = "The balancer notices."
measure = "happened(dies)"
equals = 1
"#;

fn script(lab: &Lab, name: &str, text: &str) -> PathBuf {
    let path = lab.path().join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("it can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    path
}

fn refused(lab: &Lab, code: i32, part: &str, said: &[&str]) {
    let output = lab.run(&["run", "more-servers", "--part", part, "--attempts", "1"]);
    assert_eq!(output.status.code(), Some(code), "{part}: {}", shown(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    said.iter().for_each(|said| assert!(stderr.contains(said), "{part} should say {said:?}: {stderr}"));
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn a_part_that_cannot_be_one_is_refused_with_what_to_do() {
    let lab = Lab::new();
    refused(&lab, 2, "lb=haprxy", &["there is no part 'haprxy'", "known are haproxy, nginx", "./haprxy"]);
    refused(&lab, 2, "db=haproxy", &["stands in for lb, not for db"]);
    refused(&lab, 2, "web=./x", &["is not of the form"]);
    refused(&lab, 4, "lb=./nothing-there", &["there is no file", "nothing-there"]);
    std::fs::write(lab.path().join("text"), "hello").expect("it can be written");
    refused(&lab, 4, "lb=./text", &["may not be executed", "chmod +x"]);
}

#[test]
fn a_part_that_dies_at_once_is_told_with_its_last_words() {
    let lab = Lab::new();
    script(&lab, "dying", "test \"$1\" = --can && exit 1\necho 'no such thing as a free port' >&2\nexit 3");
    refused(&lab, 4, "lb=./dying", &["/lb ended while it started", "no such thing as a free port"]);
}

/// Runs the chapter, and returns each claim's verdict and explanation.
fn verdicts(lab: &Lab, part: &str) -> Vec<(String, String)> {
    std::fs::write(lab.path().join("parts.toml"), CHAPTER).expect("it can be written");
    let output = lab.run(&["run", "parts.toml", "--part", part, "--json"]);
    let document: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", shown(&output)));
    let run = &document["runs"][0];
    assert_eq!(run["set_up"]["settings"].as_array().map(Vec::len), Some(1), "{document}");
    assert_eq!(lab.running(), vec![]);
    let text = |claim: &serde_json::Value, key: &str| claim[key].as_str().unwrap_or_default().to_owned();
    let claims = run["claims"].as_array().expect("there are claims").iter();
    claims.map(|claim| (text(claim, "verdict"), text(claim, "because"))).collect()
}

fn is_not_failed(verdict: &str) -> bool {
    // On a busy computer it may be inconclusive.
    ["holds", "inconclusive"].contains(&verdict)
}

/// Returns whether a program to test with is installed. In CI it must be.
#[expect(clippy::print_stderr, reason = "what is not tested is said")]
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let besides = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let is_there = std::env::split_paths(&path).chain(besides).any(|place| place.join(program).is_file());
    assert!(
        is_there || std::env::var_os("CI").is_none(),
        "{program} is missing: scripts/test.sh installs it"
    );
    if !is_there {
        eprintln!("{program} IS MISSING, SO NOTHING WAS TESTED");
    }
    is_there
}

#[test]
fn nginx_is_added_to_and_is_not_asked_what_it_notices() {
    if !is_there("nginx") {
        return;
    }
    let lab = Lab::new();
    let [joins, pair, notices] = &verdicts(&lab, "lb=nginx")[..] else { panic!("there are three claims") };
    assert!(is_not_failed(&joins.0), "{joins:?}");
    assert_eq!((pair.0.as_str(), notices.0.as_str()), ("skipped", "skipped"));
    assert!(notices.1.contains("nginx tells nobody"), "{notices:?}");
}

/// Checks a balancer that supports adding servers and reports ejections, but cannot be one of a pair.
fn is_added_to_and_notices_a_death(program: &str, unpaired: &str) {
    if !is_there(program) {
        return;
    }
    let lab = Lab::new();
    let verdicts = verdicts(&lab, &format!("lb={program}"));
    let [joins, pair, notices] = &verdicts[..] else { panic!("there are three claims") };
    assert!(is_not_failed(&joins.0), "{joins:?}");
    assert_eq!(pair.0, "skipped");
    assert!(pair.1.contains(unpaired), "{pair:?}");
    assert!(is_not_failed(&notices.0), "{notices:?}");
}

#[test]
fn haproxy_is_added_to_and_notices_a_death_and_is_not_asked_to_be_one_of_a_pair() {
    is_added_to_and_notices_a_death("haproxy", "HAProxy does not share an address");
}

#[test]
fn caddy_is_added_to_and_notices_a_death_and_is_not_asked_to_be_one_of_a_pair() {
    is_added_to_and_notices_a_death("caddy", "Caddy does not share an address");
}

#[test]
fn envoy_is_added_to_and_notices_a_death_and_is_not_asked_to_be_one_of_a_pair() {
    is_added_to_and_notices_a_death("envoy", "Envoy does not share an address");
}

#[test]
fn traefik_is_added_to_and_notices_a_death_and_is_not_asked_to_be_one_of_a_pair() {
    is_added_to_and_notices_a_death("traefik", "Traefik does not share an address");
}

#[test]
fn a_part_of_ones_own_is_judged_by_what_it_says_that_it_can() {
    let lab = Lab::new();
    let own = programs().join("lb");
    let can =
        r#"{"can": ["round-robin", "checks", "events", "pair"], "cannot": {"add": "servers are read once"}}"#;
    let text = format!("test \"$1\" = --can && echo '{can}' && exit\nexec {} \"$@\"", own.display());
    let path = script(&lab, "my-lb", &text);
    let verdicts = verdicts(&lab, &format!("lb={}", path.display()));
    let [joins, pair, notices] = &verdicts[..] else { panic!("there are three claims") };
    // The step was not carried out, so its claim cannot be judged.
    assert_eq!((joins.0.as_str(), joins.1.as_str()), ("skipped", "servers are read once"));
    assert_eq!(pair.0, "skipped");
    assert!(is_not_failed(&notices.0), "{notices:?}");
}

#[test]
fn a_part_that_refuses_a_server_fails_that_claim_and_the_chapter_goes_on() {
    let lab = Lab::new();
    let own = programs().join("lb");
    // It already has a server of that name.
    let text =
        format!("test \"$1\" = --can && exit 1\nexec {} --upstream web-3=127.0.0.1:1 \"$@\"", own.display());
    let path = script(&lab, "my-lb", &text);
    let verdicts = verdicts(&lab, &format!("lb={}", path.display()));
    assert_eq!(verdicts.len(), 3);
    assert_eq!(verdicts[0].0, "fails", "{verdicts:?}");
    assert!(verdicts[0].1.contains("refused web-3"), "{verdicts:?}");
}

/// Makes a balancer that runs these commands first, and then becomes the lab's own.
fn besides(lab: &Lab, name: &str, text: &str) -> String {
    let own = programs().join("lb");
    let text = format!("test \"$1\" = --can && exit 1\n{text}\nexec {} \"$@\"", own.display());
    format!("lb={}", script(lab, name, &text).display())
}

#[test]
fn a_part_that_listens_late_or_prints_megabytes_plays_all_the_same() {
    let lab = Lab::new();
    let megabytes = "head -c 20000000 /dev/zero | tr '\\0' x; echo; sleep 3";
    for part in [besides(&lab, "late", "sleep 3"), besides(&lab, "chatty", megabytes)] {
        let verdicts = verdicts(&lab, &part);
        assert!(verdicts.iter().all(|(verdict, _)| is_not_failed(verdict)), "{part}: {verdicts:?}");
    }
}

#[test]
fn what_a_part_has_started_in_a_session_of_its_own_ends_with_its_machine() {
    let lab = Lab::new();
    // A number that no other test uses.
    let seconds = 100_000 + std::process::id();
    let part =
        besides(&lab, "forks", &format!("setsid sleep {seconds} &\nsetsid sh -c 'sleep {seconds} & exit' &"));
    verdicts(&lab, &part);
    let is_left = || {
        let processes = std::fs::read_dir("/proc").expect("there is /proc").flatten();
        let mut lines =
            processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
        lines.any(|line| line == format!("sleep\0{seconds}\0"))
    };
    assert!(!is_left(), "children are left");
}

#[test]
fn a_part_that_does_not_end_when_it_is_asked_to_is_killed() {
    let lab = Lab::new();
    let own = programs().join("lb");
    let text = "test \"$1\" = --can && exit 1\ntrap '' TERM\nOWN \"$@\" &\nwhile :; do sleep 1; done";
    let path = script(&lab, "stubborn", &text.replace("OWN", &own.display().to_string()));
    let verdicts = verdicts(&lab, &format!("lb={}", path.display()));
    assert_eq!(verdicts.len(), 3, "{verdicts:?}");
}

#[test]
fn a_part_that_speaks_no_http_is_told_so() {
    let lab = Lab::new();
    let text = "import socket, sys\nif sys.argv[1] == '--can': sys.exit(1)\n\
                host, port = sys.argv[sys.argv.index('--admin') + 1].rsplit(':', 1)\n\
                server = socket.create_server((host, int(port)))\n\
                while True:\n    client, _ = server.accept()\n    client.recv(4096)\n    \
                client.sendall(b'\\0\\xff good day\\r\\n\\r\\n')\n    client.close()\n";
    let path = lab.path().join("nonsense");
    std::fs::write(&path, format!("#!/usr/bin/env python3\n{text}")).expect("it can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    refused(&lab, 4, "lb=./nonsense", &["/lb did not answer GET /healthz at ", " in HTTP within 20s"]);
}
