//! Challenges: an architecture is judged by price, capacity and faults.

use std::path::PathBuf;

use serde_json::Value;
use tests::Lab;
use tests::lab::shown;

fn solution(name: &str) -> String {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("challenges").join(format!("{name}.toml"));
    file.to_str().expect("its path is text").to_owned()
}

/// Judges a solution. Returns the exit code, and what was found.
fn judge(lab: &Lab, challenge: &str, solution: &str) -> (i32, Value) {
    let output = lab.run(&["challenge", challenge, solution, "--json"]);
    let found =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", shown(&output)));
    (output.status.code().expect("it ended by itself"), found)
}

/// Returns the outcome and the finding of the last check.
fn last(judged: &Value) -> (String, String) {
    let check = judged["checks"].as_array().and_then(|checks| checks.last()).expect("there is one");
    let text = |key: &str| check[key].as_str().expect("it is text").to_owned();
    (text("outcome"), text("found"))
}

#[test]
fn challenges_are_listed_and_shown_with_hints() {
    let lab = Lab::new();
    let list = lab.succeed(&["challenge"]);
    assert_eq!(list.lines().filter(|line| line.contains("requests a second for $")).count(), 8, "{list}");
    let shown = lab.succeed(&["challenge", "really-none", "--hint"]);
    assert!(shown.contains("costs at most $2000 a month") && shown.contains("hint: A balancer"), "{shown}");
}

#[test]
fn one_that_is_over_the_budget_is_refused_before_anything_starts() {
    let lab = Lab::new();
    let (code, judged) = judge(&lab, "first-shop", &solution("black-friday"));
    assert_eq!((code, judged["solved"].as_bool()), (1, Some(false)), "{judged}");
    assert_eq!(last(&judged), ("missed".into(), "$600: web 1 × $200, db 1 × $200, redis 1 × $200".into()));
    assert!(!lab.path().join(".lab").exists(), "something was started");
}

#[test]
fn one_that_makes_the_work_cheaper_is_refused_with_every_reason() {
    let lab = Lab::new();
    let text = std::fs::read_to_string(solution("first-shop")).expect("it is there");
    let text = text.replace("{ db = \"db\" }", "{ db = \"db\", page-cost = \"1us\" }");
    std::fs::write(lab.path().join("cheap.toml"), text).expect("it can be written");
    let output = lab.run(&["challenge", "first-shop", "cheap.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(shown(&output).contains("machine.web: page-cost is given: 8ms 750us"), "{}", shown(&output));
}

#[test]
fn the_first_shop_is_solved_by_two_machines_and_not_by_one() {
    let lab = Lab::new();
    let (code, judged) = judge(&lab, "first-shop", &solution("first-shop"));
    assert_eq!((code, judged["cost"].as_f64()), (0, Some(400.0)), "{judged}");
    std::fs::write(lab.path().join("one.toml"), lab.succeed(&["new", "architecture"]))
        .expect("it can be written");
    let (code, judged) = judge(&lab, "first-shop", "one.toml");
    assert_eq!((code, last(&judged).0), (1, "missed".into()), "{judged}");
    assert!(last(&judged).1.starts_with("at that rate 99 % of the answers came within"), "{judged}");
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn a_hidden_single_point_is_named_with_what_it_takes_down() {
    let lab = Lab::new();
    let (code, judged) = judge(&lab, "nobody-notices", &solution("hidden-point"));
    assert_eq!((code, last(&judged).0), (1, "missed".into()), "{judged}");
    assert!(last(&judged).1.starts_with("redis takes down "), "{judged}");
    assert_eq!(lab.running(), vec![]);
}

#[test]
#[ignore = "takes several minutes: scripts/test.sh --everything"]
fn every_challenge_is_solved_for_what_the_lab_says() {
    for name in [
        "first-shop",
        "black-friday",
        "nobody-notices",
        "nothing-lost",
        "shared-machines",
        "stay-logged-in",
        "enough-left",
        "really-none",
    ] {
        let lab = Lab::new();
        let output = lab.plain_labctl().args(["challenge", name, &solution(name), "--json"]).output();
        let output = output.expect("labctl can be started");
        assert!(output.status.success(), "{name}: {}", shown(&output));
        let judged: Value = serde_json::from_slice(&output.stdout).expect("it is a document");
        let task: Value =
            serde_json::from_str(&lab.succeed(&["challenge", name, "--json"])).expect("so is this");
        assert_eq!(judged["cost"], task["reference"], "{name}");
    }
}
