//! The parts in `wrong/` are the reference with one mistake each, named with its stage in their first line.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tests::Lab;
use tests::lab::shown;

/// The stages that a part in Python can pass.
const STAGES: &str = "1,2,3,4,5,6,7,8,9,10,11,12,13";
/// How many parts are graded at a time.
const AT_ONCE: usize = 3;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn grade(lab: &Lab, part: &Path, stages: &str) -> (Output, Value) {
    let part = part.to_str().expect("its path is text");
    let network = network();
    let words = ["--all", "--at-once", "13", "--stage", stages, "--json", "--network", &network];
    let output = lab.run(&[&["grade", "lb", part][..], &words].concat());
    let grade = serde_json::from_slice(&output.stdout);
    let grade = grade.unwrap_or_else(|error| panic!("{part}: {error}: {}", shown(&output)));
    (output, grade)
}

/// A network that no test with a lab has.
fn network() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("127.{}", 10 + (NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id()) % 40)
}

/// The stages of an outcome, with what is said of them.
fn stages(grade: &Value, outcome: &str) -> Vec<(u64, String)> {
    let stages = grade["stages"].as_array().expect("there are stages").iter();
    let wanted = stages.filter(|stage| stage["outcome"] == outcome);
    let because = |stage: &Value| stage["because"].as_str().unwrap_or_default().to_owned();
    wanted.map(|stage| (stage["number"].as_u64().unwrap_or_default(), because(stage))).collect()
}

#[expect(clippy::print_stderr, reason = "what could not be judged is said, and is no failure")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Grades all stages, and those again by themselves that a busy computer kept from being judged.
fn failed(part: &Path) -> Vec<(u64, String)> {
    let lab = Lab::new();
    let (_, graded) = grade(&lab, part, STAGES);
    let mut failed = stages(&graded, "failed");
    for (number, _) in stages(&graded, "too_busy") {
        let (_, again) = grade(&lab, part, &number.to_string());
        failed.extend(stages(&again, "failed"));
        for (number, because) in stages(&again, "too_busy") {
            say(&format!("{}: stage {number} could not be judged: {because}", part.display()));
        }
    }
    failed
}

/// The stage that the second line of a part names.
fn stage_of(part: &Path) -> u64 {
    let text = std::fs::read_to_string(part).expect("it can be read");
    let line = text.lines().nth(1).expect("it has a second line");
    let number = line.strip_prefix("\"\"\"Fails stage ").and_then(|rest| rest.split(':').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{}: {line}", part.display()))
}

/// What is wrong with a part's grade.
fn complaint(part: &Path) -> Option<String> {
    let (wanted, failed) = (stage_of(part), failed(part));
    let is_right = matches!(&failed[..], [(number, _)] if *number == wanted);
    (!is_right).then(|| format!("{}: wanted stage {wanted} to fail, and it was {failed:?}", part.display()))
}

#[test]
fn every_wrong_part_fails_its_stage_and_no_other() {
    let parts = std::fs::read_dir(root().join("tests/grade/wrong")).expect("there are some");
    let parts: VecDeque<PathBuf> = parts.map(|entry| entry.expect("it can be read").path()).collect();
    let parts: VecDeque<_> =
        parts.into_iter().filter(|part| part.extension().is_some_and(|end| end == "py")).collect();
    assert!(parts.len() >= 20, "there are {}", parts.len());
    let (parts, complaints) = (Mutex::new(parts), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(part) = { parts.lock().expect("no other panics").pop_front() } {
                    complaints.lock().expect("no other panics").extend(complaint(&part));
                }
            });
        }
    });
    let complaints = complaints.into_inner().expect("no other panicked");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_reference_passes_every_stage_but_the_one_for_speed() {
    assert_eq!(failed(&root().join("examples/balancer.py")), vec![]);
}

#[test]
fn the_one_to_begin_with_passes_the_first_stage() {
    let lab = Lab::new();
    let part = lab.path().join("my-lb.py");
    std::fs::write(&part, lab.succeed(&["new", "lb", "--language", "python"])).expect("it can be written");
    std::fs::set_permissions(&part, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it is ours");
    let (_, grade) = grade(&lab, &part, STAGES);
    // It asks one server only: whatever becomes of the others is no merit of its own.
    assert_eq!(stages(&grade, "failed").iter().find(|(number, _)| *number == 1), None, "{grade}");
    let passed: Vec<_> = stages(&grade, "passed").into_iter().map(|(number, _)| number).collect();
    // Its threads may be enough for 200 slow clients.
    assert!(passed.iter().all(|number| [1, 13].contains(number)), "{passed:?}");
    assert_eq!(lab.running(), vec![]);
}
