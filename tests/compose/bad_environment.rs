//! An engine that is not there, or not as it should be: one sentence, exit code 4. A script stands in for
//! the docker command, so these tests need no engine.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tests::Lab;
use tests::lab::shown;

/// An engine that is well, as far as labctl asks before it makes anything.
const WELL: &str = r#"
    "info "*) echo '{"NCPU":2,"OperatingSystem":"Debian","SecurityOptions":["name=seccomp"]}' ;;
    "compose version "*) echo 2.26.1 ;;
    "image inspect "*) echo '{}' ;;
    "ps "*) ;;
"#;

fn script(directory: &Path, name: &str, cases: &str) {
    let path = directory.join(name);
    let text =
        format!("#!/bin/sh\ncase \"$*\" in\n{cases}\n*) echo \"unexpected: $*\" >&2; exit 1;;\nesac\n");
    std::fs::write(&path, text).expect("it can be written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it can be changed");
}

/// Starts a lab with this docker command, if any, and checks what is said.
fn not_ready(docker: Option<&str>, compose_v1: Option<&str>, said: &[&str]) {
    let lab = Lab::new();
    let bin = lab.path().join("bin");
    std::fs::create_dir(&bin).expect("it can be made");
    docker.into_iter().for_each(|cases| script(&bin, "docker", cases));
    compose_v1.into_iter().for_each(|cases| script(&bin, "docker-compose", cases));
    let mut command = lab.labctl();
    command.env("PATH", &bin).env("LABCTL_NETWORK", "172.28");
    let output =
        command.args(["run", "one-machine", "--backend", "compose"]).output().expect("it can be started");
    assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    for part in said {
        assert!(stderr.contains(part), "it should say {part:?}: {stderr}");
    }
    assert_eq!(stderr.trim().lines().count(), 1, "one sentence, not: {stderr}");
    assert_eq!(lab.running(), vec![]);
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
