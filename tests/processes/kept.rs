//! A lab that outlives the command, and the process that keeps it.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::lab::shown;
use tests::{Lab, processes, wait};

fn keeper_of(lab: &Lab) -> u32 {
    let state = std::fs::read(lab.path().join(".lab/state.json")).expect("there is a state file");
    let state: Value = serde_json::from_slice(&state).expect("it is JSON");
    u32::try_from(state["keeper"]["pid"].as_u64().expect("a pid is a number")).expect("pids are small")
}

#[test]
fn a_second_up_is_refused_and_leaves_the_first_alone() {
    let lab = Lab::new();
    lab.succeed(&["up", "one-machine"]);
    let second = lab.run(&["up", "split"]);
    assert_eq!(second.status.code(), Some(4), "{}", shown(&second));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("'one-machine'") && said.contains("labctl down"), "{said}");
    let run = lab.run(&["run", "split"]);
    assert_eq!(run.status.code(), Some(4), "{}", shown(&run));
    assert_eq!(lab.machine("app")["on"], true);
    lab.succeed(&["down"]);
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn a_killed_keeper_takes_its_lab_with_it_and_the_next_one_starts() {
    let lab = Lab::new();
    lab.succeed(&["up", "split"]);
    processes::signal(keeper_of(&lab), Signal::SIGKILL);
    wait::until_true("the end of everything", Duration::from_secs(3), || lab.running().is_empty());
    let status = lab.run(&["status"]);
    assert_eq!(status.status.code(), Some(4), "{}", shown(&status));
    let said = lab.succeed(&["up", "split"]);
    assert!(said.contains("a stale state file"), "{said}");
    lab.succeed(&["down"]);
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn what_a_killed_labctl_left_can_be_cleaned_at_once() {
    let lab = Lab::new();
    lab.succeed(&["up", "split"]);
    let refused = lab.run(&["clean"]);
    assert_eq!(refused.status.code(), Some(4), "{}", shown(&refused));
    processes::signal(keeper_of(&lab), Signal::SIGKILL);
    // Right away: its keeper may not be gone yet.
    lab.succeed(&["clean"]);
    assert!(!lab.path().join(".lab").exists());
    wait::until_true("the end of everything", Duration::from_secs(3), || lab.running().is_empty());
}

/// Nor can a lab be asked while it is still starting.
#[test]
fn a_lab_that_cannot_be_asked_can_be_ended() {
    let lab = Lab::new();
    lab.succeed(&["up", "one-machine"]);
    let state = std::fs::read(lab.path().join(".lab/state.json")).expect("there is a state file");
    let state: Value = serde_json::from_slice(&state).expect("it is JSON");
    std::fs::remove_file(state["control"].as_str().expect("a path")).expect("its socket is there");
    let status = lab.run(&["status"]);
    assert_eq!(status.status.code(), Some(4), "{}", shown(&status));
    assert!(String::from_utf8_lossy(&status.stderr).contains("labctl down"), "{}", shown(&status));
    lab.succeed(&["down"]);
    assert_eq!(lab.running(), vec![]);
}

/// Without its directory, no command could end it any more.
#[test]
fn a_lab_whose_directory_is_removed_ends() {
    let lab = Lab::new();
    lab.succeed(&["up", "split"]);
    std::fs::remove_dir_all(lab.path().join(".lab")).expect("it can be removed");
    wait::until_true("the end of everything", Duration::from_secs(10), || lab.running().is_empty());
}

#[test]
fn a_frozen_machine_dies_with_its_keeper_too() {
    let lab = Lab::new();
    lab.succeed(&["up", "one-machine"]);
    lab.succeed(&["freeze", "app"]);
    processes::signal(keeper_of(&lab), Signal::SIGKILL);
    wait::until_true("the end of everything", Duration::from_secs(3), || lab.running().is_empty());
}

#[test]
fn a_stale_state_file_that_names_a_stranger_harms_nobody() {
    let lab = Lab::new();
    let mut stranger = std::process::Command::new("sleep").arg("60").spawn().expect("sleep can be started");
    let state = serde_json::json!({
        "version": 1, "chapter": "split", "keeper": { "pid": 999_999_999_u32, "started": 1 },
        "control": lab.path().join("gone/control.sock"), "network": [127, 77], "port_shift": 0,
        // The PID exists, but with a different start time.
        "results": null, "machines": [{ "name": "web", "process": { "pid": stranger.id(), "started": 1 } }],
    });
    std::fs::create_dir_all(lab.path().join(".lab")).expect("it can be made");
    std::fs::write(lab.path().join(".lab/.labctl"), "").expect("it can be marked as labctl's");
    std::fs::write(lab.path().join(".lab/state.json"), state.to_string()).expect("it can be written");
    lab.succeed(&["up", "one-machine"]);
    assert!(stranger.try_wait().expect("it can be asked").is_none(), "a stranger was killed");
    lab.succeed(&["down"]);
    stranger.kill().expect("it is there");
    stranger.wait().expect("it ends");
}

#[test]
fn a_chapters_machines_are_up_within_two_seconds() {
    let lab = Lab::new();
    lab.succeed(&["up", "more-servers"]);
    let events = lab.succeed(&["events"]);
    let last_ready = events.lines().rfind(|line| line.ends_with("is ready")).expect("machines are ready");
    let seconds: f64 =
        last_ready.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a time");
    lab.succeed(&["down"]);
    assert!(seconds < 2.0, "{last_ready}");
}
