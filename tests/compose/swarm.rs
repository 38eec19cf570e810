//! `deploy/stack.yml` on a swarm of one node: follows docs/swarm.md.

use std::path::Path;
use std::time::Duration;

use tests::wait::until_true;

use crate::engine::{docker, try_docker, workspace};

/// All tasks of every service run within this time.
const UP: Duration = Duration::from_secs(90);
const SERVICES: usize = 8;

/// A swarm of one node. Dropping it leaves the swarm.
struct Swarm;

impl Swarm {
    fn of_one_node() -> Self {
        docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
        Self
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        try_docker(&["stack", "rm", "lab"]);
        until_true("its containers are gone", UP, || tasks("").is_empty());
        try_docker(&["swarm", "leave", "--force"]);
        until_true("its volumes are gone", UP, || {
            let volumes =
                docker(&["volume", "ls", "--quiet", "--filter", "label=com.docker.stack.namespace=lab"]);
            for volume in volumes.lines() {
                try_docker(&["volume", "rm", volume]);
            }
            volumes.is_empty()
        });
    }
}

/// Lists the containers of a service.
fn tasks(service: &str) -> Vec<String> {
    let name = format!("name=lab_{service}");
    docker(&["ps", "--quiet", "--filter", &name]).lines().map(str::to_owned).collect()
}

fn all_are_there() -> bool {
    let replicas = docker(&["stack", "services", "lab", "--format", "{{.Replicas}}"]);
    let is_whole = |line: &str| line.split_once('/').is_some_and(|(there, wanted)| there == wanted);
    replicas.lines().count() == SERVICES && replicas.lines().all(is_whole)
}

fn answers() -> bool {
    let ask =
        ["run", "--rm", "--network", "lab_lab", "--entrypoint", "healthcheck", "scaling-lab", "web-1:9001"];
    try_docker(&ask)
}

#[test]
#[ignore = "needs a Docker engine"]
fn the_stack_is_up_on_one_node_and_what_dies_is_replaced() {
    let _swarm = Swarm::of_one_node();
    let secret = workspace().join("deploy/products.jsonl");
    // Any text of more than 16 bytes is valid.
    docker(&["secret", "create", "scaling-lab-cluster", &secret.display().to_string()]);
    let mode = if Path::new("/proc/net/ip_vs").exists() { "vip" } else { "dnsrr" };
    let deployed = std::process::Command::new("docker")
        .args(["stack", "deploy", "--compose-file", "deploy/stack.yml", "lab"])
        .env("LAB_ENDPOINT_MODE", mode)
        .current_dir(workspace())
        .status();
    assert!(deployed.is_ok_and(|status| status.success()), "it is deployed");
    until_true("every service has its tasks", UP, all_are_there);
    until_true("the shop answers", UP, answers);

    let killed = tasks("web-1").remove(0);
    docker(&["kill", &killed]);
    until_true("another one stands in", UP, || tasks("web-1").first().is_some_and(|task| *task != killed));
    until_true("the shop answers again", UP, answers);
}
