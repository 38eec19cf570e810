//! An environment that is not ready: one sentence that says what to do, exit code 4, and nothing left running.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use tests::Lab;
use tests::lab::{programs, shown};

fn not_ready(lab: &Lab, words: &[&str], said: &[&str]) {
    let output = lab.run(words);
    assert_eq!(output.status.code(), Some(4), "{words:?}: {}", shown(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    for part in said {
        assert!(stderr.contains(part), "{words:?} should say {part:?}: {stderr}");
    }
    assert_eq!(stderr.trim().lines().count(), 1, "one sentence, not: {stderr}");
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn a_busy_port_is_named() {
    let lab = Lab::new();
    let taken = format!("{}.0.1:9001", lab.network());
    let _holder = TcpListener::bind(&taken).expect("the port is free");
    for command in ["run", "up"] {
        not_ready(&lab, &[command, "one-machine"], &[&taken, "in use", "--port-shift"]);
    }
    lab.succeed(&["up", "one-machine", "--port-shift", "1000"]);
    lab.succeed(&["down"]);
}

#[test]
fn a_missing_program_is_named() {
    let lab = Lab::new();
    let beside = lab.path().join("programs");
    std::fs::create_dir(&beside).expect("it can be made");
    for program in ["labctl", "machine", "lb", "webserver"] {
        std::fs::hard_link(programs().join(program), beside.join(program))
            .or_else(|_| std::fs::copy(programs().join(program), beside.join(program)).map(|_| ()))
            .expect("it can be copied");
    }
    let output = Command::new(beside.join("labctl"))
        .args(["up", "one-machine", "--network", "127.99"])
        .current_dir(lab.path())
        .output()
        .expect("labctl can be started");
    assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("'dbnode' is not in") && stderr.contains("cargo build --release"), "{stderr}");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let lab = Lab::new();
    // Where there is a file, no directory can be created, not even by root.
    std::fs::write(lab.path().join("file"), "").expect("it can be written");
    not_ready(&lab, &["run", "one-machine", "--lab-dir", "file/lab"], &["file/lab", "--lab-dir"]);
    not_ready(&lab, &["run", "one-machine", "--runs-dir", "file/runs"], &["file/runs", "--runs-dir"]);
}

#[test]
fn a_directory_with_somebodys_files_is_left_alone() {
    let lab = Lab::new();
    let notes = lab.path().join("notes");
    std::fs::create_dir_all(notes.join("data")).expect("it can be made");
    std::fs::write(notes.join("data/thesis.txt"), "years of work").expect("it can be written");
    not_ready(&lab, &["up", "one-machine", "--lab-dir", "notes"], &["notes", "not labctl's"]);
    not_ready(&lab, &["run", "one-machine", "--runs-dir", "notes"], &["notes", "not labctl's"]);
    lab.succeed(&["clean", "--lab-dir", "notes", "--runs-dir", "notes"]);
    assert!(notes.join("data/thesis.txt").is_file());
}

#[test]
fn a_full_disk_is_named() {
    let lab = Lab::new();
    let small = lab.path().join("small");
    std::fs::create_dir(&small).expect("it can be made");
    let Some(_mounted) = Mounted::tmpfs(&small, "64k") else {
        assert!(std::env::var_os("CI").is_none(), "in CI a small file system can be mounted");
        eprintln!("SKIPPED: only root can mount the small file system that this test fills");
        return;
    };
    not_ready(&lab, &["up", "one-machine", "--lab-dir", "small/lab"], &["small/lab", "the disk is full"]);
    not_ready(&lab, &["run", "one-machine", "--runs-dir", "small/runs"], &["small/runs", "the disk is full"]);
}

#[test]
fn what_is_in_the_shell_does_not_change_a_chapter() {
    let lab = Lab::new();
    let mut up = lab.labctl();
    up.args(["up", "more-servers"]);
    // Each variable means something to one of the lab's programs: it changes the behaviour, or is refused.
    up.envs([
        ("LB_POLICY", "sticky"),
        ("LB_PANIC_THRESHOLD", "0"),
        ("WEBSERVER_CACHE", "local"),
        ("MACHINE_CORES", "7"),
        ("DBNODE_PEERS", "x"),
        ("LOG_FORMAT", "logfmt"),
        ("DRAIN_TIMEOUT", "30"),
    ]);
    let output = up.output().expect("labctl can be started");
    assert!(output.status.success(), "{}", shown(&output));
    let environment = |pid: u64| std::fs::read(format!("/proc/{pid}/environ")).expect("it is there");
    for machine in lab.json(&["status"])["machines"].as_array().expect("machines are a list") {
        for program in machine["programs"].as_array().expect("programs are a list") {
            let environment = environment(program["pid"].as_u64().expect("a pid is a number"));
            let environment = String::from_utf8_lossy(&environment);
            for prefix in ["LB_", "WEBSERVER_", "DBNODE_", "MACHINE_CORES", "LOG_FORMAT", "DRAIN_", "LABCTL_"]
            {
                let of_the_shell =
                    |entry: &str| entry.starts_with(prefix) && !entry.starts_with("LABCTL_LOG");
                assert!(!environment.split('\0').any(of_the_shell), "{prefix}: {environment}");
            }
        }
    }
    lab.succeed(&["down"]);
}

#[test]
fn directories_are_called_as_people_call_them() {
    let lab = Lab::new();
    let long = "long-directory-name-".repeat(12);
    for name in ["Jane Doe's größe-実験", "a \"b\" $HOME:b#c back\\slash", &long] {
        let directory = lab.path().join(name);
        std::fs::create_dir(&directory).expect("it can be made");
        // Sentinels keep their configuration in a file, with paths in it.
        let up = lab
            .labctl()
            .current_dir(&directory)
            .args(["up", "sessions"])
            .output()
            .expect("it can be started");
        assert!(up.status.success(), "{name}: {}", shown(&up));
        let down = lab.labctl().current_dir(&directory).arg("down").output().expect("it can be started");
        assert!(down.status.success(), "{name}: {}", shown(&down));
    }
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn a_directory_that_is_no_text_is_named() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let lab = Lab::new();
    let directory = lab.path().join(OsStr::from_bytes(b"caf\xe9"));
    std::fs::create_dir(&directory).expect("it can be made");
    let up = lab.labctl().current_dir(&directory).args(["up", "split"]).output().expect("it can be started");
    assert_eq!(up.status.code(), Some(4), "{}", shown(&up));
    let stderr = String::from_utf8_lossy(&up.stderr);
    assert!(stderr.contains("not UTF-8") && stderr.contains("--lab-dir"), "{stderr}");
}

#[test]
fn a_temporary_directory_that_does_not_do_is_done_without() {
    let lab = Lab::new();
    let long = lab.path().join("t".repeat(100));
    std::fs::create_dir(&long).expect("it can be made");
    for temporary in [long.as_path(), Path::new("/nowhere/tmp")] {
        let up =
            lab.labctl().env("TMPDIR", temporary).args(["up", "split"]).output().expect("it can be started");
        assert!(up.status.success(), "{}: {}", temporary.display(), shown(&up));
        let down = lab.labctl().env("TMPDIR", temporary).arg("down").output().expect("it can be started");
        assert!(down.status.success(), "{}: {}", temporary.display(), shown(&down));
    }
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn a_labs_directories_and_sockets_are_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    // A shell whose umask gives everyone access.
    let up = std::process::Command::new("sh")
        .args(["-c", "umask 000; exec \"$@\"", "sh"])
        .arg(programs().join("labctl"))
        .args(["up", "split"])
        .current_dir(lab.path())
        .env("LABCTL_NETWORK", lab.network())
        .output()
        .expect("it can be started");
    assert!(up.status.success(), "{}", shown(&up));
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    let directory = lab.path().join(".lab");
    assert_eq!(mode(&directory), 0o700);
    let state = std::fs::read_to_string(directory.join("state.json")).expect("there is a state file");
    let state: serde_json::Value = serde_json::from_str(&state).expect("it is JSON");
    let control = Path::new(state["control"].as_str().expect("a path is text")).to_owned();
    let sockets = control.parent().expect("it is in a directory");
    assert_eq!(mode(sockets), 0o700, "{}", sockets.display());
    lab.succeed(&["down"]);
}

#[test]
fn a_redis_that_was_left_behind_is_swept_up() {
    let lab = Lab::new();
    lab.succeed(&["up", "sessions"]);
    lab.succeed(&["down"]);
    // A Redis that escaped the signals: it has no parent in the lab, but runs in the lab's data.
    let data = lab.path().join(".lab/data/left");
    std::fs::create_dir_all(&data).expect("it can be made");
    let socket = lab.path().join("left.sock");
    let mut redis = std::process::Command::new("redis-server");
    redis.args(["--port", "0", "--unixsocket"]).arg(&socket).arg("--dir").arg(&data);
    let mut redis = redis.stdout(std::process::Stdio::null()).spawn().expect("there is a Redis");
    tests::wait::until_true("a Redis that listens", std::time::Duration::from_secs(5), || socket.exists());
    let cleaned = lab.run(&["clean"]);
    assert!(cleaned.status.success(), "{}", shown(&cleaned));
    let gone = || redis.try_wait().expect("it can be asked").is_some();
    tests::wait::until_true("its end", std::time::Duration::from_secs(5), gone);
}

/// A mounted file system, unmounted when dropped.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn tmpfs(path: &'a Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}
