//! What a CI service shows of a run: the job summary, and the annotations.

use tests::Lab;
use tests::lab::shown;

use super::output::FAILS;

#[test]
fn a_run_in_ci_leaves_a_summary_and_annotates_what_failed() {
    let lab = Lab::new();
    std::fs::write(lab.path().join("fails.toml"), FAILS).expect("it can be written");
    let summary = lab.path().join("step-summary.md");
    std::fs::write(&summary, "what an earlier command wrote\n").expect("it can be written");
    let in_ci = |words: &[&str]| {
        let mut labctl = lab.labctl();
        labctl.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary).args(words);
        labctl.output().expect("labctl can be started")
    };
    let output = in_ci(&["run", "fails.toml", "--attempts", "5", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("\n::error title=fails%3A Every request fails.::measured "), "{said}");
    let text = std::fs::read_to_string(&summary).expect("it is there");
    assert!(text.starts_with("what an earlier command wrote\n## Scaling Lab: ✗ fails\n"), "{text}");
    assert!(text.contains("| ✗ fails | Every request fails. | measured "), "{text}");

    let output = in_ci(&["run", "no-such.toml"]);
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("::error title=labctl run::"), "{said}");
}

#[test]
fn a_summary_that_cannot_be_written_changes_no_verdict() {
    let lab = Lab::new();
    let holds = FAILS.replace("ok(some)", "failed(some)");
    std::fs::write(lab.path().join("holds.toml"), holds).expect("it can be written");
    let mut labctl = lab.labctl();
    labctl.env("GITHUB_STEP_SUMMARY", lab.path()).args(["run", "holds.toml"]);
    let output = labctl.output().expect("labctl can be started");
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", shown(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the job summary could not be written: "), "{said}");
    assert!(!said.contains("::error"), "nobody asked for annotations: {said}");
}
