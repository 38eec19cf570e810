//! Checks that each chapter holds.

use std::path::PathBuf;
use std::time::Duration;

use chapter::library;
use tests::lab::shown;
use tests::{Lab, schemas};

/// A chapter that the host disturbs is run three times.
const PATIENCE: Duration = Duration::from_secs(360);

fn holds(chapter: &str) {
    let lab = Lab::new();
    let mut run = lab.labctl();
    run.args(["run", chapter, "--quick", "--attempts", "3"]).timeout(PATIENCE);
    let output = run.output().expect("labctl can be started");
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    assert_eq!(lab.running(), vec![], "{chapter} left something running");
    // A later step that judges the article sets the directory for the results.
    let runs = std::env::var_os("LABCTL_RUNS_DIR").map_or_else(|| lab.path().join("runs"), PathBuf::from);
    let latest = runs.join(chapter).join("latest");
    for file in ["summary.json", "events.jsonl", "requests.csv", "chapter.toml"] {
        assert!(latest.join(file).is_file(), "{chapter} wrote no {file}");
    }
    if schemas::can_be_checked() {
        assert_eq!(schemas::problems(&lab, "run", &[latest.join("summary.json")]), None, "{chapter}");
    }
}

#[test]
fn one_machine_holds() {
    holds("one-machine");
}

#[test]
fn bigger_machine_holds() {
    holds("bigger-machine");
}

#[test]
fn split_holds() {
    holds("split");
}

#[test]
fn more_servers_holds() {
    holds("more-servers");
}

#[test]
fn load_balancer_holds() {
    holds("load-balancer");
}

#[test]
fn sessions_holds() {
    holds("sessions");
}

#[test]
fn cache_holds() {
    holds("cache");
}

#[test]
fn replication_holds() {
    holds("replication");
}

#[test]
fn server_failure_holds() {
    holds("server-failure");
}

#[test]
fn primary_failure_holds() {
    holds("primary-failure");
}

#[test]
fn split_brain_holds() {
    holds("split-brain");
}

#[test]
fn sinkhole_holds() {
    holds("sinkhole");
}

#[test]
fn busy_holds() {
    holds("busy");
}

#[test]
fn deep_checks_holds() {
    holds("deep-checks");
}

#[test]
fn deploy_holds() {
    holds("deploy");
}

#[test]
fn regions_holds() {
    holds("regions");
}

#[test]
fn retry_storm_holds() {
    holds("retry-storm");
}

#[test]
fn every_chapter_is_tested_here() {
    let tested = [
        "one-machine",
        "bigger-machine",
        "split",
        "more-servers",
        "load-balancer",
        "sessions",
        "cache",
        "replication",
        "server-failure",
        "primary-failure",
        "split-brain",
        "sinkhole",
        "busy",
        "deep-checks",
        "deploy",
        "regions",
        "retry-storm",
    ];
    assert_eq!(library::names().collect::<Vec<_>>(), tested);
}
