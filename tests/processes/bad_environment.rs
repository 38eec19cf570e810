//! An environment that is not ready: one sentence that says what to do, exit code 4, and nothing
//! left running.

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
    // Where a file stands no directory can be made, not even by root.
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

/// A file system that is taken away again.
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
