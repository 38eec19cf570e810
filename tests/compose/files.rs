//! `docker-compose.yml` and `deploy/compose`, as students use them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tests::http::{ask, ask_for_cookie, ask_with_cookie};
use tests::wait::until_true;

use crate::engine::{docker, left_of, workspace};

const PROJECT: &str = "scaling-lab";
/// The address shared by the pair of balancers.
const FRONT: &str = "172.30.0.100:8080";
/// The service is back within this time after any loss. A failover of Redis takes longest.
const BACK: Duration = Duration::from_secs(15);
/// The bits of CAP_NET_ADMIN and CAP_NET_RAW.
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

/// Returns a field of `/proc/1/status` in a container.
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

/// Returns whether reads, writes and logins all work.
fn serves() -> bool {
    let ok = |request: &str| ask(FRONT, request).is_some_and(|status| (200..300).contains(&status));
    ok("GET /products/1")
        && ok("PUT /products/7\n{\"name\":\"Lamp\",\"price\":900}")
        && ok("POST /login\n{\"user\":\"ada\"}")
}

/// Takes the stack down when dropped, however the test ends.
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
    assert_eq!(containers.len(), 16, "{containers:?}");
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
    // Nor is anyone logged out when everything is restarted.
    compose(&["restart", "--timeout", "1"]);
    until_true("her session is there again", 2 * BACK, is_known);
    drop(down);
}

/// Returns the container of the current Redis primary.
fn primary() -> String {
    let is_primary = |name: &&str| docker(&["exec", name, "redis-cli", "role"]).starts_with("master");
    ["redis-1", "redis-2"].into_iter().find(is_primary).expect("one of them is the primary").to_owned()
}

#[test]
#[ignore = "needs a Docker engine"]
fn every_architecture_is_a_valid_project_that_publishes_on_loopback_only() {
    for profile in &architectures() {
        let config = config(profile);
        let services = config["services"].as_object().expect("services are a map");
        assert!(!services.is_empty(), "{profile}");
        for (name, service) in services {
            if name != "load" {
                assert_eq!(
                    service["container_name"], **name,
                    "{profile}: a service is called as its container"
                );
            }
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
fn every_chapter_has_a_file_and_the_final_is_the_root_one() {
    let said = docker(&["compose", "config", "--profiles"]);
    let profiles: BTreeSet<_> = said.lines().collect();
    assert!(profiles.contains("final") && profiles.contains("load"), "{profiles:?}");
    let files = std::fs::read_dir(workspace().join("deploy/compose")).expect("there are files");
    let files = files
        .filter_map(|file| Some(file.ok()?.file_name().into_string().ok()?.strip_suffix(".yml")?.to_owned()));
    let chapters: BTreeSet<_> = architectures().into_iter().filter(|name| name != "final").collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), chapters);
}

/// The live page is given the plan of its architecture as a file: it has the machines that the containers are.
#[test]
#[ignore = "needs a Docker engine"]
fn the_pages_plan_of_each_architecture_is_what_its_containers_are() {
    for name in &architectures() {
        let config = config(name);
        let services = config["services"].as_object().expect("services are a map");
        let plan = plan_of(&services["page"]);
        let beside = ["page", "load", "secrets", "redis-disks", "prometheus"];
        let machines = services.keys().filter(|service| !beside.contains(&service.as_str()));
        let planned: BTreeSet<_> = plan.machines.keys().cloned().collect();
        assert_eq!(machines.cloned().collect::<BTreeSet<_>>(), planned, "{name}");
        for machine in plan.machines.values() {
            let command = words_of(&services[&machine.name]["command"]);
            for program in &machine.programs {
                let what = program.program.name();
                let is_there = command.contains(&format!("-- {what} --")) || program.program.is_redis();
                assert!(is_there, "{name}: {what} is on {}: {command}", machine.name);
            }
            let has = |flag: &str, value: String| command.contains(&format!("{flag} {value}"));
            if command.contains("--socket") {
                let cores = machine.spec.cores;
                assert!(cores == 1 || has("--cores", cores.to_string()), "{name}: {command}");
                let memory = machine.spec.memory.as_u64() >> 20;
                let said = [format!("{memory}MiB"), format!("{}GiB", memory >> 10)];
                assert!(
                    said.into_iter().any(|said| has("--memory", said)),
                    "{name}: {memory} MiB: {command}"
                );
            }
        }
    }
}

fn words_of(command: &serde_json::Value) -> String {
    let words = command.as_array().into_iter().flatten().filter_map(|word| word.as_str());
    words.collect::<Vec<_>>().join(" ")
}

fn plan_of(page: &serde_json::Value) -> lab::Plan {
    let command = words_of(&page["command"]);
    let file = command.split("--stack ").nth(1).and_then(|rest| rest.split(' ').next());
    let file = file.and_then(|path| path.rsplit('/').next()).expect("the page is given a plan");
    let path = workspace().join("deploy/compose").join(file);
    let source =
        chapter::Source::open(&path.to_string_lossy(), &[]).unwrap_or_else(|error| panic!("{error}"));
    lab::Plan::of(&source.chapter, lab::plan::Deployment::on_paper())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the resolved configuration of an architecture, including services that start on demand.
fn config(name: &str) -> serde_json::Value {
    let file = format!("deploy/compose/{name}.yml");
    let which = if name == "final" { ["--profile", "final"] } else { ["--file", &file] };
    let config =
        docker(&[&["compose"], &which[..], &["--profile", "load", "config", "--format", "json"]].concat());
    serde_json::from_str(&config).expect("it is JSON")
}

fn architectures() -> BTreeSet<String> {
    // Plain Compose covers the article's architectures; the others need labctl.
    chapter::library::Group::Article.names().chain(["final"]).map(str::to_owned).collect()
}
