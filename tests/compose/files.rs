//! `docker-compose.yml` and `deploy/stack.yml`, as students use them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tests::http::{ask, ask_for_cookie, ask_with_cookie};
use tests::wait::until_true;

use crate::engine::{docker, left_of};

const PROJECT: &str = "scaling-lab";
/// The address that the pair of balancers shares.
const FRONT: &str = "172.30.0.100:8080";
/// The service is back within this time, whatever was killed. The longest is Redis' way to a new primary.
const BACK: Duration = Duration::from_secs(15);
/// CAP_NET_ADMIN and CAP_NET_RAW, as bits.
const ADDRESS_RIGHTS: u64 = 1 << 12 | 1 << 13;

fn compose(words: &[&str]) -> String {
    docker(&[&["compose", "--profile", "final"], words].concat())
}

fn containers() -> Vec<String> {
    let names = docker(&[
        "ps",
        "--format",
        "{{.Names}}",
        "--filter",
        &format!("label=com.docker.compose.project={PROJECT}"),
    ]);
    names.lines().map(str::to_owned).collect()
}

/// A line of a container's first process' status.
fn status_of(container: &str, key: &str) -> String {
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", container]);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{key} is in {status}")).trim().to_owned()
}

fn may_do_nothing_but_its_work(container: &str) {
    let is_balancer = container.starts_with("lb");
    let rights = |key: &str| u64::from_str_radix(&status_of(container, key), 16).expect("it is a number");
    let wanted = if is_balancer { ADDRESS_RIGHTS } else { 0 };
    assert_eq!(rights("CapEff"), wanted, "{container} may do");
    assert_eq!(rights("CapBnd"), wanted, "{container} could get");
    assert_eq!(status_of(container, "NoNewPrivs"), "1", "{container}");
    let user = if is_balancer { "0" } else { "65534" };
    assert_eq!(status_of(container, "Uid").split('\t').next(), Some(user), "{container}");
    let read_only = docker(&["inspect", "--format", "{{.HostConfig.ReadonlyRootfs}}", container]);
    assert_eq!(read_only, "true", "{container}");
}

/// Reads, writes and logins, each for itself.
fn serves() -> bool {
    let ok = |request: &str| ask(FRONT, request).is_some_and(|status| (200..300).contains(&status));
    ok("GET /products/1")
        && ok("PUT /products/7\n{\"name\":\"Lamp\",\"price\":900}")
        && ok("POST /login\n{\"user\":\"ada\"}")
}

/// What belongs to a test, and goes with it whatever becomes of it.
struct Down;

impl Drop for Down {
    fn drop(&mut self) {
        compose(&["down", "--volumes", "--timeout", "5"]);
    }
}

#[test]
#[ignore = "needs a Docker engine"]
fn the_final_architecture_is_up_in_time_safe_and_survives_the_loss_of_any_container() {
    let down = Down;
    let begun = Instant::now();
    compose(&["up", "--detach", "--wait"]);
    let up_after = begun.elapsed();
    println!("up and healthy after {up_after:.1?}");
    assert!(up_after < Duration::from_secs(15), "up and healthy only after {up_after:?}");
    until_true("it serves", BACK, serves);

    let containers = containers();
    assert_eq!(containers.len(), 15, "{containers:?}");
    containers.iter().for_each(|container| may_do_nothing_but_its_work(container));
    for container in &containers {
        docker(&["kill", container]);
        let outage = until_true(&format!("it serves without {container}"), BACK, serves);
        println!("{container} killed: served again after {outage:.1?}");
        docker(&["start", container]);
        let is_well = || docker(&["inspect", "--format", "{{.State.Health.Status}}", container]) == "healthy";
        until_true(&format!("{container} is back"), Duration::from_secs(30), is_well);
        until_true("it serves as before", BACK, serves);
    }
    drop(down);
    assert_eq!(left_of(PROJECT), "");
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_primary_of_redis_that_restarts_before_it_is_missed_logs_nobody_out() {
    let down = Down;
    compose(&["up", "--detach", "--wait"]);
    until_true("it serves", BACK, serves);
    let cookie = ask_for_cookie(FRONT, "POST /login\n{\"user\":\"ada\"}");
    let is_known = || ask_with_cookie(FRONT, "GET /me", &cookie) == Some(200);
    assert!(is_known());
    for _ in 0..3 {
        docker(&["restart", "--timeout", "1", &primary()]);
        until_true("her session is there again", BACK, is_known);
        assert_ne!(ask_with_cookie(FRONT, "GET /me", &cookie), Some(401));
    }
    // Nor when everything is restarted.
    compose(&["restart", "--timeout", "1"]);
    until_true("her session is there again", 2 * BACK, is_known);
    drop(down);
}

/// The container of the Redis that is the primary now.
fn primary() -> String {
    let is_primary = |name: &&str| docker(&["exec", name, "redis-cli", "role"]).starts_with("master");
    ["redis-1", "redis-2"].into_iter().find(is_primary).expect("one of them is the primary").to_owned()
}

#[test]
#[ignore = "needs a Docker engine"]
fn every_profile_is_a_valid_project_that_publishes_on_loopback_only() {
    let profiles = chapters_and_the_final();
    for profile in &profiles {
        let config = docker(&["compose", "--profile", profile, "config", "--format", "json"]);
        let config: serde_json::Value = serde_json::from_str(&config).expect("it is JSON");
        let services = config["services"].as_object().expect("services are a map");
        assert!(!services.is_empty(), "{profile}");
        for (name, service) in services {
            for port in service["ports"].as_array().into_iter().flatten() {
                assert_eq!(port["host_ip"], "127.0.0.1", "{profile}: {name}");
            }
            assert!(service["mem_limit"].is_string() && service["cpus"].is_number(), "{profile}: {name}");
            assert_eq!(service["read_only"], true, "{profile}: {name}");
            assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{profile}: {name}");
            let no_more = serde_json::json!(["no-new-privileges:true"]);
            assert_eq!(service["security_opt"], no_more, "{profile}: {name}");
            assert!(service["pids_limit"].is_number(), "{profile}: {name}");
        }
    }
}

#[test]
#[ignore = "needs a Docker engine"]
fn every_chapter_has_a_profile() {
    let said = docker(&["compose", "config", "--profiles"]);
    let profiles: BTreeSet<_> = said.lines().map(str::to_owned).collect();
    assert_eq!(profiles, chapters_and_the_final());
}

fn chapters_and_the_final() -> BTreeSet<String> {
    // Plain Compose has those of the article; the others need what labctl does.
    chapter::library::Group::Article.names().chain(["final"]).map(str::to_owned).collect()
}
