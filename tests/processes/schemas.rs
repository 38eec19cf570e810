//! Everything that labctl reads, prints, writes and serves conforms to its schemas.

use std::fs;

use serde_json::Value;
use tests::lab::shown;
use tests::schemas::{can_be_checked, problems, toml_files};
use tests::{Lab, http, project};

use super::output::FAILS;

#[test]
fn every_file_that_comes_with_the_lab_is_valid() {
    if !can_be_checked() {
        return;
    }
    let lab = Lab::new();
    let mut architectures = toml_files("labctl/architectures");
    // These describe the load and the paths, not an architecture.
    architectures.retain(|file| !file.ends_with("load.toml") && !file.ends_with("paths.toml"));
    let sets = [
        ("chapter", toml_files("labctl/chapters")),
        ("architecture", architectures),
        ("part", toml_files("labctl/parts/known")),
    ];
    for (document, files) in sets {
        assert_eq!(problems(&lab, document, &files), None, "{document}");
    }
}

#[test]
fn a_mistake_in_a_chapter_is_one_for_the_schema_too() {
    if !can_be_checked() {
        return;
    }
    let lab = Lab::new();
    let right = fs::read_to_string(project().join("labctl/chapters/one-machine.toml")).expect("it is there");
    let mine = [lab.path().join("mine.toml")];
    for (right_word, wrong) in [
        ("cores = 1", "coers = 1"),
        ("cores = 1", "cores = -1"),
        ("webserver = { ", "webserver = { cache = 'loacl', "),
        ("measure = \"", "measure = 5\nunit = \""),
        ("say = \"", "kil = [\"app\"]\nsay = \""),
    ] {
        assert!(right.contains(right_word), "{right_word}");
        fs::write(&mine[0], right.replacen(right_word, wrong, 1)).expect("it can be written");
        assert!(problems(&lab, "chapter", &mine).is_some(), "{wrong} passed");
    }
    fs::write(&mine[0], &right).expect("it can be written");
    assert_eq!(problems(&lab, "chapter", &mine), None);
    assert!(problems(&lab, "architecture", &mine).is_some(), "an architecture has no steps");
}

#[test]
fn a_run_and_its_summary_are_as_their_schemas_say() {
    if !can_be_checked() {
        return;
    }
    let lab = Lab::new();
    fs::write(lab.path().join("fails.toml"), FAILS).expect("it can be written");
    let output = lab.run(&["run", "fails.toml", "--attempts", "5", "--json"]);
    let runs = [lab.path().join("runs.json")];
    fs::write(&runs[0], &output.stdout).expect("it can be written");
    assert_eq!(problems(&lab, "runs", &runs), None, "{}", shown(&output));
    assert!(problems(&lab, "run", &runs).is_some(), "several runs are not one");

    let summary = fs::read_to_string(lab.path().join("runs/fails/latest/summary.json")).expect("it is there");
    let summaries = [lab.path().join("summary.json")];
    fs::write(&summaries[0], &summary).expect("it can be written");
    assert_eq!(problems(&lab, "run", &summaries), None, "{summary}");
    for (right, wrong) in [("scaling-lab/run/1", "scaling-lab/run/9"), ("\"verdict\"", "\"verdikt\"")] {
        assert!(summary.contains(right), "{summary}");
        fs::write(&summaries[0], summary.replacen(right, wrong, 1)).expect("it can be written");
        assert!(problems(&lab, "run", &summaries).is_some(), "{wrong} passed");
    }
}

#[test]
fn the_state_of_the_live_page_is_as_its_schema_says() {
    if !can_be_checked() {
        return;
    }
    let lab = Lab::new();
    let page = format!("{}.0.9:7780", lab.network());
    lab.succeed(&["up", "server-failure", "--page", &page]);
    let access = fs::read(lab.path().join(".lab/page.json")).expect("there is a page");
    let access: Value = serde_json::from_slice(&access).expect("it is JSON");
    let (address, token) = (access["address"].as_str(), access["token"].as_str());
    let (address, token) = (address.expect("an address"), token.expect("a token"));
    let bearer = format!("authorization: Bearer {token}\r\n");
    let answer = http::answer(address, "GET /api/state", &bearer).expect("it answers");
    let state = http::body(&answer).expect("it has a body");
    let states = [lab.path().join("state.json")];
    fs::write(&states[0], &state).expect("it can be written");
    assert_eq!(problems(&lab, "page", &states), None, "{state}");
    let state: Value = serde_json::from_str(&state).expect("it is JSON");
    assert!(state["machines"].as_array().is_some_and(|machines| !machines.is_empty()), "{state}");
    lab.succeed(&["down"]);
}
