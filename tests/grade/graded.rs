//! Grades a part, and reports which stages it failed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tests::Lab;
use tests::lab::{programs, shown};

/// The project's directory.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// How a part is graded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Graded {
    /// The kind: `lb` or `db`.
    pub(crate) kind: &'static str,
    /// The stages.
    pub(crate) stages: &'static str,
    /// The number of concurrent stages.
    pub(crate) at_once: &'static str,
}

/// Grades a part.
pub(crate) fn grade(lab: &Lab, part: &Path, graded: Graded) -> (Output, Value) {
    let part = part.to_str().expect("its path is text");
    let (network, Graded { kind, stages, at_once }) = (network(), graded);
    let mut command = lab.labctl();
    command.args(["grade", kind, part, "--all", "--at-once", at_once, "--stage", stages, "--json"]);
    // A part that proxies the lab's own node starts this program.
    command.args(["--network", &network]).env("GRADED_DBNODE", programs().join("dbnode"));
    let output = command.output().expect("labctl can be started");
    let grade = serde_json::from_slice(&output.stdout);
    let grade = grade.unwrap_or_else(|error| panic!("{part}: {error}: {}", shown(&output)));
    (output, grade)
}

/// Returns a network that no lab of another test uses.
fn network() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("127.{}", 10 + (NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id()) % 40)
}

/// Returns the stages with an outcome, each with its explanation.
pub(crate) fn stages(grade: &Value, outcome: &str) -> Vec<(u64, String)> {
    let stages = grade["stages"].as_array().expect("there are stages").iter();
    let wanted = stages.filter(|stage| stage["outcome"] == outcome);
    let because = |stage: &Value| stage["because"].as_str().unwrap_or_default().to_owned();
    wanted.map(|stage| (stage["number"].as_u64().unwrap_or_default(), because(stage))).collect()
}

#[expect(clippy::print_stderr, reason = "what could not be judged is said, and is no failure")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Grades all stages, and repeats one by one those that a busy computer kept from being judged.
pub(crate) fn failed(part: &Path, graded: Graded) -> Vec<(u64, String)> {
    let lab = Lab::new();
    let (_, first) = grade(&lab, part, graded);
    let mut failed = stages(&first, "failed");
    for (number, _) in stages(&first, "too_busy") {
        let (_, again) = grade(&lab, part, Graded { stages: number.to_string().leak(), ..graded });
        failed.extend(stages(&again, "failed"));
        for (number, because) in stages(&again, "too_busy") {
            say(&format!("{}: stage {number} could not be judged: {because}", part.display()));
        }
    }
    failed
}

/// Returns the stage that the second line of a part names.
pub(crate) fn stage_of(part: &Path) -> u64 {
    let text = std::fs::read_to_string(part).expect("it can be read");
    let line = text.lines().nth(1).expect("it has a second line");
    let number = line.strip_prefix("\"\"\"Fails stage ").and_then(|rest| rest.split(':').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{}: {line}", part.display()))
}

/// Returns what is wrong with a part's grade.
fn complaint(part: &Path, graded: Graded) -> Option<String> {
    let (wanted, failed) = (stage_of(part), failed(part, graded));
    let is_right = matches!(&failed[..], [(number, _)] if *number == wanted);
    (!is_right).then(|| format!("{}: wanted stage {wanted} to fail, and it was {failed:?}", part.display()))
}

/// Lists the parts in a directory.
pub(crate) fn parts_in(directory: &str) -> Vec<PathBuf> {
    let parts = std::fs::read_dir(root().join(directory)).expect("there are some");
    let parts = parts.map(|entry| entry.expect("it can be read").path());
    parts.filter(|part| part.extension().is_some_and(|end| end == "py")).collect()
}

/// Grades wrong parts, `at_once` at a time: each must fail its stage and no other.
pub(crate) fn each_fails_its_stage(parts: Vec<PathBuf>, graded: Graded, at_once: usize) {
    let (parts, complaints) = (Mutex::new(VecDeque::from(parts)), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(part) = { parts.lock().expect("no other panics").pop_front() } {
                    complaints.lock().expect("no other panics").extend(complaint(&part, graded));
                }
            });
        }
    });
    let complaints = complaints.into_inner().expect("no other panicked");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Writes the output of `labctl new` to a file, as a program.
pub(crate) fn beginning(lab: &Lab, kind: &str) -> PathBuf {
    let part = lab.path().join(format!("my-{kind}.py"));
    std::fs::write(&part, lab.succeed(&["new", kind, "--language", "python"])).expect("it can be written");
    std::fs::set_permissions(&part, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is ours");
    part
}
