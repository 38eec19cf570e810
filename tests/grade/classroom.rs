//! The template repository for a class: the part that students start with, and the workflow step that grades it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tests::ci::step;
use tests::lab::{programs, shown};
use tests::{Lab, project};

const GRADE: &str = include_str!("../../examples/classroom/.github/workflows/grade.yml");

#[test]
fn a_class_begins_with_what_labctl_prints() {
    let printed = Lab::new().succeed(&["new", "lb", "--language", "python"]);
    let template = std::fs::read_to_string(project().join("examples/classroom/my-lb")).expect("it is there");
    assert_eq!(template.trim_end(), printed.trim_end());
}

#[test]
fn the_workflow_of_a_class_grades_and_leaves_points() {
    let lab = Lab::new();
    let built = lab.path().join("lab/target");
    std::fs::create_dir_all(&built).expect("it can be made");
    symlink(programs(), built.join("release")).expect("it can be linked");
    std::fs::copy(project().join("examples/classroom/my-lb"), lab.path().join("my-lb")).expect("it is there");
    // Running all stages would take minutes.
    let script = step(GRADE, "grade").replace("--all", "--stage 1");
    let summary = lab.path().join("summary.md");
    let output = Command::new("bash")
        .args(["-e", "-c", &script])
        .current_dir(lab.path())
        .env("LABCTL_NETWORK", lab.network())
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .expect("bash can be started");
    assert_eq!(output.status.code(), Some(0), "{}", shown(&output));
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let points = read(&lab.path().join("points.csv"));
    assert!(points.contains("forwards") && points.contains("10"), "{points}");
    assert!(read(&summary).contains(&points), "{}", read(&summary));
    assert!(read(&lab.path().join("junit.xml")).contains("<testsuites"));
}
