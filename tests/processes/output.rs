//! Exit codes do not depend on standard output: its reader may be gone, or the disk may be full.

use std::fs::File;
use std::process::{Output, Stdio};

use tests::Lab;
use tests::lab::shown;

/// A chapter with a claim that fails within a second.
pub(super) const FAILS: &str = r#"
number = 1
title = "A claim that fails"
question = "Is it told?"

[machine.app]
webserver = { db = "app", page-cost = "1ms" }
dbnode = { products = 10 }

[traffic.shoppers]
to = "app"
path = "/products/{key}"
keys = 10

[[step]]
name = "some"
say = "A few."
load = { shoppers = 20 }
measure = "500ms"

[[step.expect]]
claim = "Every request fails."
measure = "ok(some)"
equals = 0
"#;

/// Returns a pipe without a reader.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    writer.into()
}

/// Returns a device that is full.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").expect("Linux has one").into()
}

fn with_output(lab: &Lab, words: &[&str], stdout: Stdio) -> Output {
    let mut command = lab.plain_labctl();
    let child = command.args(words).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn();
    child.expect("labctl can be started").wait_with_output().expect("it ends")
}

/// Runs a command with standard output in either state and checks its exit codes: without a reader, and on a full disk,
/// which must also be reported.
fn ends_with(lab: &Lab, words: &[&str], nobody_reads: i32, no_room: i32) {
    let output = with_output(lab, words, gone());
    assert_eq!(output.status.code(), Some(nobody_reads), "{words:?}, gone: {}", shown(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("standard output") && !said.contains("panicked"), "{words:?}: {said}");
    let output = with_output(lab, words, full());
    assert_eq!(output.status.code(), Some(no_room), "{words:?}, full: {}", shown(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("standard output could not be written"), "{words:?}: {said}");
}

#[test]
fn a_claim_that_failed_has_failed_whoever_reads_it() {
    let lab = Lab::new();
    std::fs::write(lab.path().join("fails.toml"), FAILS).expect("it can be written");
    for words in
        [&["run", "fails.toml", "--attempts", "1"][..], &["run", "fails.toml", "--attempts", "1", "--json"]]
    {
        ends_with(&lab, words, 1, 1);
    }
    let holds = FAILS.replace("ok(some)", "failed(some)");
    std::fs::write(lab.path().join("holds.toml"), holds).expect("it can be written");
    ends_with(&lab, &["run", "holds.toml", "--json"], 0, 5);
    assert_eq!(lab.running(), vec![]);
    // The runs are compared with each other; one verdict has flipped.
    let runs: Vec<_> = ["fails", "holds"].map(|name| format!("runs/{name}/latest")).into();
    ends_with(&lab, &["compare", &runs[0], &runs[0]], 0, 5);
    ends_with(&lab, &["report", &runs[1], "--json"], 0, 5);
}

#[test]
fn what_is_found_without_a_lab_is_found_whoever_reads_it() {
    let lab = Lab::new();
    for json in [&[][..], &["--json"]] {
        ends_with(&lab, &[&["claims", "--all-measured"], json].concat(), 3, 3);
        ends_with(&lab, &[&["claims"], json].concat(), 0, 5);
        ends_with(&lab, &[&["list"], json].concat(), 0, 5);
        ends_with(&lab, &[&["show", "split"], json].concat(), 0, 5);
    }
    for shell in ["bash", "fish", "zsh"] {
        ends_with(&lab, &["completions", shell], 0, 5);
    }
    ends_with(&lab, &["--help"], 0, 5);
    ends_with(&lab, &["--version"], 0, 5);
}

#[test]
fn a_standard_error_that_cannot_be_written_is_no_reason_to_panic() {
    let lab = Lab::new();
    let mut command = lab.plain_labctl();
    let status = command.arg("status").stdout(Stdio::null()).stderr(full()).status();
    assert_eq!(status.expect("labctl can be started").code(), Some(4));
}
