//! The workflow files in `examples/ci` do what docs/ci.md says: their steps are run as a CI service would.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use tests::Lab;
use tests::ci::step;
use tests::lab::{programs, shown};

use super::output::FAILS;

const GITHUB: &str = include_str!("../../examples/ci/github.yml");
const GITLAB: &str = include_str!("../../examples/ci/gitlab-ci.yml");
/// The chapters in both files. The tests replace them by one that takes a second.
const CHAPTERS: &str = "more-servers server-failure";

/// Returns the script that GitLab runs: the one line below `script:`.
fn gitlab() -> String {
    let mut lines = GITLAB.lines().skip_while(|line| line.trim() != "script:");
    let line = lines.nth(1).and_then(|line| line.trim().strip_prefix("- "));
    line.expect("there is one").to_owned()
}

/// Runs a step in a directory where `scripts/run.sh` has this content.
fn run(lab: &Lab, script: &str, run_sh: &str) -> Output {
    assert!(script.contains(CHAPTERS), "{script}");
    let scripts = lab.path().join("scripts");
    std::fs::create_dir_all(&scripts).expect("it can be made");
    std::fs::write(scripts.join("run.sh"), format!("#!/bin/sh\n{run_sh}\n")).expect("it can be written");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(scripts.join("run.sh"), executable).expect("it is ours");
    let mut bash = Command::new("bash");
    bash.args(["-e", "-c", &script.replace(CHAPTERS, "mine.toml")]).current_dir(lab.path());
    bash.env("LABCTL_NETWORK", lab.network()).env("CI", "true");
    bash.output().expect("bash can be started")
}

#[test]
fn a_step_runs_its_chapters_and_leaves_what_it_uploads() {
    let labctl = format!("exec {} run --attempts 5 \"$@\"", programs().join("labctl").display());
    for script in [step(GITHUB, "run two chapters"), gitlab()] {
        let lab = Lab::new();
        std::fs::write(lab.path().join("mine.toml"), FAILS).expect("it can be written");
        let output = run(&lab, &script, &labctl);
        assert_eq!(output.status.code(), Some(1), "a claim fails: {}", shown(&output));
        for kept in ["junit.xml", "report.html", "runs/mine/latest/summary.json"] {
            assert!(lab.path().join(kept).is_file(), "{kept} is not there: {}", shown(&output));
        }
        for (file, name) in [(GITHUB, "GitHub"), (GITLAB, "GitLab")] {
            assert!(
                file.contains("junit.xml") && file.contains("report.html") && file.contains("runs/"),
                "{name}"
            );
        }
        assert_eq!(lab.running(), vec![]);
    }
}

#[test]
fn a_computer_that_was_too_busy_is_a_warning() {
    let lab = Lab::new();
    let output = run(&lab, &step(GITHUB, "run two chapters"), "exit 3");
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let output = run(&lab, &gitlab(), "exit 3");
    assert_eq!(output.status.code(), Some(3), "{}", shown(&output));
    assert!(GITLAB.contains("allow_failure:\n    exit_codes: [3]"), "GitLab is told what 3 means");
    for (script, code) in [(step(GITHUB, "run two chapters"), 4), (gitlab(), 4)] {
        assert_eq!(run(&lab, &script, "exit 4").status.code(), Some(code));
    }
}
