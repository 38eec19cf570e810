//! A container engine that is missing or broken: one sentence, exit code 4. A script stands in for the docker command,
//! so these tests need no engine.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use tests::Lab;
use tests::lab::shown;

/// An engine that is healthy as far as labctl checks before it creates anything.
const WELL: &str = r#"
    "info "*) echo '{"NCPU":2,"OperatingSystem":"Debian","SecurityOptions":["name=seccomp"]}' ;;
    "compose version "*) echo 2.26.1 ;;
    "image inspect "*) echo '{"scaling-lab.build":"source"}' ;;
    "ps "*) ;;
"#;

fn script(directory: &Path, name: &str, cases: &str) {
    let path = directory.join(name);
    let text =
        format!("#!/bin/sh\ncase \"$*\" in\n{cases}\n*) echo \"unexpected: $*\" >&2; exit 1;;\nesac\n");
    std::fs::write(&path, text).expect("it can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it can be changed");
}

/// Starts a lab with these commands as docker and docker-compose, if any, and checks the message.
fn not_ready(docker: Option<&str>, compose_v1: Option<&str>, said: &[&str]) {
    let lab = Lab::new();
    let bin = lab.path().join("bin");
    std::fs::create_dir(&bin).expect("it can be made");
    docker.into_iter().for_each(|cases| script(&bin, "docker", cases));
    compose_v1.into_iter().for_each(|cases| script(&bin, "docker-compose", cases));
    refused(&lab, &["run", "one-machine"], 4, said);
}

/// Runs labctl with the docker command of this lab, and checks that it fails as expected.
fn refused(lab: &Lab, words: &[&str], code: i32, said: &[&str]) {
    let output = labctl(lab, words);
    assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    for part in said {
        assert!(stderr.contains(part), "it should say {part:?}: {stderr}");
    }
    assert_eq!(stderr.trim().lines().count(), 1, "one sentence, not: {stderr}");
    assert_eq!(lab.running(), vec![]);
}

/// Runs labctl with nothing on its PATH but the docker command of this lab.
fn labctl(lab: &Lab, words: &[&str]) -> Output {
    let mut command = lab.labctl();
    command.env("PATH", lab.path().join("bin")).env("LABCTL_NETWORK", "172.28");
    command.env("LABCTL_BACKEND", "compose").args(words).output().expect("it can be started")
}

/// Creates a lab with this docker command.
fn with(docker: &str) -> Lab {
    let lab = Lab::new();
    let bin = lab.path().join("bin");
    std::fs::create_dir(&bin).expect("it can be made");
    script(&bin, "docker", docker);
    lab
}

#[test]
fn no_docker_is_one_sentence() {
    not_ready(None, None, &["needs docker", "install"]);
}

#[test]
fn an_engine_that_does_not_run_is_one_sentence() {
    let down = r#""info "*) echo "Cannot connect to the Docker daemon. Is it running?" >&2; exit 1 ;;"#;
    not_ready(Some(&format!("{down}{WELL}")), None, &["does not answer", "systemctl start docker"]);
}

#[test]
fn an_engine_that_one_may_not_use_is_one_sentence() {
    let refused = r#""info "*) echo "permission denied while trying to connect" >&2; exit 1 ;;"#;
    not_ready(Some(&format!("{refused}{WELL}")), None, &["does not answer", "usermod -aG docker"]);
}

#[test]
fn no_compose_plugin_is_one_sentence() {
    let none = r#""compose "*) echo "docker: 'compose' is not a docker command." >&2; exit 1 ;;"#;
    not_ready(Some(&format!("{none}{WELL}")), None, &["no compose plugin", "install"]);
}

#[test]
fn the_first_compose_is_one_sentence() {
    let none = r#""compose "*) echo "docker: 'compose' is not a docker command." >&2; exit 1 ;;"#;
    let v1 = r#""version "*) echo 1.29.2 ;;"#;
    not_ready(Some(&format!("{none}{WELL}")), Some(v1), &["Compose 1.29.2", "needs Compose v2"]);
}

#[test]
fn no_image_is_one_sentence() {
    let none = r#""image inspect "*) echo "Error: No such image: scaling-lab" >&2; exit 1 ;;"#;
    not_ready(Some(&format!("{none}{WELL}")), None, &["no image scaling-lab", "scripts/images.sh"]);
}

#[test]
fn an_old_image_is_one_sentence() {
    let old = r#""image inspect "*) echo '{"scaling-lab.build":"0123456789abcdef"}' ;;"#;
    not_ready(
        Some(&format!("{old}{WELL}")),
        None,
        &["another build (0123456789abcdef)", "scripts/images.sh"],
    );
}

#[test]
fn an_image_of_unknown_programs_is_one_sentence() {
    let unknown = r#""image inspect "*) echo 'null' ;;"#;
    not_ready(Some(&format!("{unknown}{WELL}")), None, &["does not say which programs", "scripts/images.sh"]);
}

#[test]
fn containers_need_no_redis_server_on_this_computer() {
    let full = r#""compose --project-name "*" create "*) echo "no space left on device" >&2; exit 1 ;;
        "compose --project-name "*" down "*) ;;
        "events "*) exec /bin/sleep 60 ;;"#;
    let lab = with(&format!("{full}{WELL}"));
    for chapter in ["sessions", "cache"] {
        // It gets as far as the engine allows.
        refused(&lab, &["run", chapter], 4, &["no space left on device"]);
    }
}

#[test]
fn a_redis_that_containers_cannot_reach_is_a_mistake() {
    let lab = with(WELL);
    let words = ["run", "cache", "--redis-url", "redis://127.0.0.1:6379"];
    refused(&lab, &words, 2, &["--redis-url", "LABCTL_REDIS_URL"]);
}

#[test]
fn what_cannot_be_removed_keeps_its_state() {
    let broken = r#""compose --project-name "*" create "*) echo "the disk is gone" >&2; exit 1 ;;
        "compose --project-name "*" down "*) echo "the disk is gone" >&2; exit 1 ;;
        "events "*) exec /bin/sleep 60 ;;"#;
    let lab = with(&format!("{broken}{WELL}"));
    refused(&lab, &["run", "one-machine"], 4, &["may be left", "the disk is gone", "labctl down"]);
    let state = lab.path().join(".lab/state.json");
    assert!(state.exists(), "what is left is known");

    let bin = lab.path().join("bin");
    script(&bin, "docker", r#""ps "*) echo "Cannot connect to the Docker daemon" >&2; exit 1 ;;"#);
    refused(&lab, &["down"], 4, &["may be left", "Cannot connect"]);
    let stubborn = r#""ps "*) printf 'app\tlabctl\t%s/.lab\n' "$PWD" ;;
        "rm "*) echo "device or resource busy" >&2; exit 1 ;;"#;
    script(&bin, "docker", stubborn);
    refused(&lab, &["down"], 4, &["may be left", "busy"]);
    refused(&lab, &["clean"], 4, &["may be left", "busy"]);
    assert!(state.exists(), "what is left is known");

    let nothing = r#""ps "*) ;;
        "network rm "*) echo "Error response from daemon: network labctl not found" >&2; exit 1 ;;"#;
    script(&bin, "docker", nothing);
    let output = labctl(&lab, &["down"]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    assert!(!state.exists(), "nothing is left");
}

#[test]
fn down_needs_no_engine_where_no_lab_was() {
    let lab = with(r#""ps "*) echo "Cannot connect to the Docker daemon" >&2; exit 1 ;;"#);
    std::fs::create_dir(lab.path().join(".lab")).expect("it can be made");
    std::fs::write(lab.path().join(".lab/.labctl"), "").expect("it can be marked as labctl's");
    let output = labctl(&lab, &["down"]);
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
}

#[test]
fn containers_that_cannot_be_reached_are_one_sentence() {
    let rootless = r#""info "*) echo '{"NCPU":2,"SecurityOptions":["name=rootless"]}' ;;"#;
    not_ready(Some(&format!("{rootless}{WELL}")), None, &["cannot reach"]);
}

#[test]
fn another_lab_in_containers_is_one_sentence() {
    let other = r#""ps "*) echo /somewhere/.lab ;;"#;
    not_ready(Some(&format!("{other}{WELL}")), None, &["/somewhere/.lab", "labctl down"]);
}

#[test]
fn taken_addresses_and_names_are_one_sentence() {
    let cases = [
        ("Pool overlaps with other one on this address space", "--network"),
        ("Conflict. The container name \"/app\" is already in use by container \"abc\"", "docker rm"),
        ("driver failed: Bind for 127.0.0.1:8080 failed: port is already allocated", "ss -ltnp"),
    ];
    for (said, advice) in cases {
        let compose = format!(
            r#""compose --project-name "*" create "*) echo 'Error response from daemon: {said}' >&2; exit 1 ;;
            "compose --project-name "*" down "*) ;;
            "events "*) exec /bin/sleep 60 ;;"#
        );
        not_ready(Some(&format!("{compose}{WELL}")), None, &[said, advice]);
    }
}

#[test]
fn addresses_of_the_wrong_kind_are_a_mistake() {
    let lab = Lab::new();
    for (backend, network) in [("compose", "127.77"), ("process", "172.28")] {
        let output = lab.run(&["run", "one-machine", "--backend", backend, "--network", network]);
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains("--network"), "{}", shown(&output));
    }
}
