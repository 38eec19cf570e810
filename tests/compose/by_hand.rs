//! Manual changes to a lab in containers, made with plain docker, are noticed.

use std::time::Duration;

use serde_json::Value;
use tests::Lab;
use tests::http::ask;
use tests::wait::until_true;

use crate::engine::{InContainers, docker, labctl, left_of, succeed};

/// Manual changes are noticed within this time.
const NOTICED: Duration = Duration::from_secs(1);

fn machine(lab: &Lab, name: &str) -> Value {
    let status: Value =
        serde_json::from_str(&succeed(lab, &["status", "--json"])).expect("--json prints JSON");
    let machines = status["machines"].as_array().expect("machines are a list");
    machines.iter().find(|machine| machine["name"] == name).cloned().unwrap_or_default()
}

fn has_happened(lab: &Lab, what: &str) -> bool {
    happened(lab, what) > 0
}

/// Counts how often an event has happened.
fn happened(lab: &Lab, what: &str) -> usize {
    succeed(lab, &["events"]).matches(what).count()
}

#[test]
#[ignore = "needs a Docker engine"]
fn what_is_done_with_plain_docker_is_noticed() {
    let lab = InContainers::new();
    succeed(&lab, &["up", "server-failure"]);
    assert_eq!(ask("172.28.0.1:8080", "GET /products/1"), Some(200));

    docker(&["kill", "web-1"]);
    until_true("web-1 is off", NOTICED, || machine(&lab, "web-1")["on"] == false);
    assert!(has_happened(&lab, "web-1 (pid"), "the end of web-1");
    assert!(has_happened(&lab, "killed by signal 9, not by labctl"), "by whose hand");
    docker(&["pause", "db"]);
    until_true("db is frozen", NOTICED, || machine(&lab, "db")["programs"][0]["frozen"] == true);
    docker(&["unpause", "db"]);
    until_true("db goes on", NOTICED, || machine(&lab, "db")["programs"][0]["frozen"] == false);
    let address = machine(&lab, "web-3")["programs"][0]["address"].as_str().unwrap_or_default().to_owned();
    let ip = address.split(':').next().unwrap_or_default();
    docker(&["network", "disconnect", "labctl", "web-3"]);
    until_true("web-3 is off the network", NOTICED, || machine(&lab, "web-3")["connected"] == false);
    assert!(has_happened(&lab, &format!("`docker network connect --ip {ip} labctl web-3` puts it back")));
    docker(&["network", "connect", "--ip", ip, "labctl", "web-3"]);
    until_true("web-3 is on the network", NOTICED, || machine(&lab, "web-3")["connected"] == true);
    // A killed container leaves the network as well, which is not worth an event.
    assert_eq!(happened(&lab, "is taken off the network"), 1, "{}", succeed(&lab, &["events"]));
    // A balancer takes a server back only if it has taken it out.
    until_true("web-1 is taken out", Duration::from_secs(10), || has_happened(&lab, "lb took web-1 out"));
    docker(&["start", "web-1"]);
    until_true("web-1 is on", NOTICED, || machine(&lab, "web-1")["on"] == true);
    until_true("web-1 is taken back", Duration::from_secs(10), || has_happened(&lab, "lb took web-1 in"));

    for words in [
        ["kill", "web-2"],
        ["restart", "web-2"],
        ["freeze", "web-5"],
        ["freeze", "web-5"],
        ["thaw", "web-5"],
        ["thaw", "web-5"],
        ["add", "web"],
        ["remove", "web-4"],
    ] {
        succeed(&lab, &words);
    }
    succeed(&lab, &["stop", "web-1"]);
    assert_eq!(machine(&lab, "web-1")["on"], false);
    assert!(has_happened(&lab, "is gone: exit code 0, by labctl"), "{}", succeed(&lab, &["events"]));
    succeed(&lab, &["resize", "web-1", "--memory", "1GiB"]);
    assert_eq!(docker(&["inspect", "--format", "{{.HostConfig.Memory}}", "web-1"]).trim(), "1073741824");
    assert_eq!(machine(&lab, "web-1")["on"], true);
    assert_eq!(machine(&lab, "web-2")["on"], true);
    assert_eq!(machine(&lab, "web-6")["on"], true);
    assert_eq!(machine(&lab, "web-4"), Value::Null);
    assert_eq!(happened(&lab, "is taken off the network"), 1, "{}", succeed(&lab, &["events"]));
    assert!(
        succeed(&lab, &["logs", "web-1"]).contains("listening")
            || !succeed(&lab, &["logs", "web-1"]).is_empty()
    );
    succeed(&lab, &["down"]);
    assert_eq!(left_of("labctl"), "");
    assert_eq!(lab.running(), vec![]);
}

#[test]
#[ignore = "needs a Docker engine"]
fn a_balancer_that_is_started_again_knows_whom_it_has_and_is_listened_to() {
    let lab = InContainers::new();
    succeed(&lab, &["up", "server-failure"]);
    succeed(&lab, &["add", "web"]);
    succeed(&lab, &["remove", "web-1"]);
    succeed(&lab, &["restart", "lb"]);
    let flags = docker(&["inspect", "--format", "{{json .Config.Cmd}}", "lb"]);
    assert!(flags.contains("web-6=") && !flags.contains("web-1="), "{flags}");

    // Its events are counted, and it is about to start counting from zero.
    docker(&["kill", "web-3"]);
    until_true("it is heard", Duration::from_secs(10), || has_happened(&lab, "lb took web-3 out"));
    docker(&["start", "web-3"]);
    until_true("it is heard", Duration::from_secs(10), || has_happened(&lab, "lb took web-3 in"));
    docker(&["restart", "-t", "1", "lb"]);
    let serves = || ask("172.28.0.1:8080", "GET /products/1") == Some(200);
    until_true("the balancer serves", Duration::from_secs(10), serves);
    docker(&["kill", "web-2"]);
    until_true("it is heard", Duration::from_secs(10), || has_happened(&lab, "lb took web-2 out"));
    succeed(&lab, &["down"]);
    assert_eq!(left_of("labctl"), "");
}

#[test]
#[ignore = "needs a Docker engine"]
fn what_was_removed_or_connected_elsewhere_is_put_right() {
    let lab = InContainers::new();
    succeed(&lab, &["up", "server-failure"]);
    docker(&["rm", "--force", "web-1"]);
    until_true("web-1 is off", NOTICED, || machine(&lab, "web-1")["on"] == false);
    succeed(&lab, &["restart", "web-1"]);
    assert_eq!(machine(&lab, "web-1")["on"], true);

    let is_connected = |name| machine(&lab, name)["connected"] == true;
    for name in ["web-2", "web-3"] {
        docker(&["network", "disconnect", "labctl", name]);
        until_true("it is off the network", NOTICED, || !is_connected(name));
    }
    // Without --ip it gets another address.
    docker(&["network", "connect", "labctl", "web-2"]);
    until_true("that is told", NOTICED, || has_happened(&lab, "where nobody looks for it"));
    succeed(&lab, &["heal"]);
    until_true("both are on the network", NOTICED, || is_connected("web-2") && is_connected("web-3"));

    docker(&["network", "disconnect", "labctl", "web-2"]);
    until_true("web-2 is off the network", NOTICED, || !is_connected("web-2"));
    succeed(&lab, &["restart", "web-2"]);
    until_true("web-2 is on the network", NOTICED, || is_connected("web-2"));
    succeed(&lab, &["down"]);
    assert_eq!(left_of("labctl"), "");
}

#[test]
#[ignore = "needs a Docker engine"]
fn what_is_done_to_the_only_program_is_done_to_its_container() {
    let lab = InContainers::new();
    succeed(&lab, &["up", "cache"]);
    let is_frozen = || machine(&lab, "redis")["programs"][0]["frozen"] == true;
    succeed(&lab, &["freeze", "redis/redis"]);
    until_true("it is frozen", NOTICED, is_frozen);
    succeed(&lab, &["thaw", "redis/redis"]);
    until_true("it goes on", NOTICED, || !is_frozen());
    assert!(succeed(&lab, &["kill", "redis/redis"]).contains("docker kill redis"));
    until_true("it is off", NOTICED, || machine(&lab, "redis")["on"] == false);
    succeed(&lab, &["down"]);
}

#[test]
#[ignore = "needs a Docker engine"]
fn links_between_containers_can_be_slowed_and_cut() {
    let lab = InContainers::new();
    succeed(&lab, &["up", "split"]);
    let product = |id: u32| ask("172.28.0.2:9001", &format!("GET /products/{id}"));
    assert_eq!(product(1), Some(200));
    succeed(&lab, &["cut", "web", "db"]);
    // The web server has not cached this product, and cannot query the database for it.
    assert_ne!(product(2), Some(200));
    succeed(&lab, &["heal", "web", "db"]);
    until_true("the database is reached again", Duration::from_secs(10), || product(2) == Some(200));
    succeed(&lab, &["slow", "web", "db", "100ms"]);
    assert_eq!(product(3), Some(200));
    succeed(&lab, &["down"]);
}

#[test]
#[ignore = "needs a Docker engine"]
fn what_a_killed_labctl_leaves_is_swept() {
    let lab = InContainers::new();
    succeed(&lab, &["up", "one-machine"]);
    let state = std::fs::read_to_string(lab.path().join(".lab/state.json")).expect("there is a state");
    let state: Value = serde_json::from_str(&state).expect("it is JSON");
    let keeper = u32::try_from(state["keeper"]["pid"].as_u64().expect("it has a pid")).expect("it is one");
    tests::processes::signal(keeper, nix::sys::signal::Signal::SIGKILL);
    until_true("the keeper is gone", Duration::from_secs(5), || {
        labctl(&lab, &["status"]).status.code() == Some(4)
    });
    assert_ne!(left_of("labctl"), "", "nobody has swept yet");
    let said = succeed(&lab, &["down"]);
    assert!(said.contains("app"), "{said}");
    assert_eq!(left_of("labctl"), "");
}
