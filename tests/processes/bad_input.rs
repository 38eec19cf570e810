//! Mistakes are reported before anything starts: what is wrong, where, and what would be right.

use tests::Lab;
use tests::lab::shown;

/// Runs labctl, which must refuse with this exit code and these words, and start nothing.
fn refused(words: &[&str], code: i32, said: &[&str]) {
    let lab = Lab::new();
    refused_in(&lab, words, code, said);
}

fn refused_in(lab: &Lab, words: &[&str], code: i32, said: &[&str]) {
    let output = lab.run(words);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {}", shown(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    for part in said {
        assert!(stderr.contains(part), "{words:?} should say {part:?}: {stderr}");
    }
    assert!(!lab.path().join(".lab/state.json").exists(), "{words:?} started something");
    assert_eq!(lab.running(), vec![]);
}

#[test]
fn an_unknown_chapter_is_refused_with_the_known_ones() {
    refused(
        &["run", "one-machin"],
        2,
        &["did you mean 'one-machine'? known are one-machine, bigger-machine"],
    );
    refused(&["up", "nothing.toml"], 2, &["nothing.toml", "cannot be read"]);
}

/// Shifted further, several programs would share the highest port.
#[test]
fn ports_are_not_shifted_beyond_the_highest_one() {
    refused(&["up", "one-machine", "--port-shift", "39001"], 2, &["--port-shift", "39000"]);
}

#[test]
fn a_typo_in_a_chapter_file_is_named_with_its_line() {
    let lab = Lab::new();
    let chapter = lab.succeed(&["show", "split", "--toml"]).replace("render-cost", "rendr-cost");
    std::fs::write(lab.path().join("mine.toml"), chapter).expect("it can be written");
    for command in ["run", "up", "validate"] {
        refused_in(
            &lab,
            &[command, "mine.toml"],
            2,
            &["mine.toml:11:27: there is no key 'rendr-cost'; did you mean 'render-cost'?", "^^^^^^^^^^"],
        );
    }
}

#[test]
fn every_mistake_in_every_file_is_told() {
    let lab = Lab::new();
    let chapter = lab.succeed(&["new", "chapter"]);
    let wrong = chapter.replace("cores = 1", "coers = 1").replace("failed(calm)", "faild(calm)");
    std::fs::write(lab.path().join("good.toml"), &chapter).expect("it can be written");
    std::fs::write(lab.path().join("wrong.toml"), wrong).expect("it can be written");
    let said = ["wrong.toml has 2 mistakes", "did you mean 'cores'?", "did you mean 'failed'?"];
    refused_in(&lab, &["validate", "wrong.toml", "good.toml"], 2, &said);
    let output = lab.run(&["validate", "wrong.toml", "good.toml", "--json"]);
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(document["files"][0]["mistakes"].as_array().map(Vec::len), Some(2), "{document:#}");
    assert_eq!(document["files"][1]["valid"], true, "{document:#}");
}

#[test]
fn a_name_that_leads_nowhere_is_refused_with_its_line() {
    let lab = Lab::new();
    let chapter = lab.succeed(&["show", "one-machine", "--toml"]).replace("db = \"app\"", "db = \"ap\"");
    std::fs::write(lab.path().join("mine.toml"), chapter).expect("it can be written");
    refused_in(
        &lab,
        &["run", "mine.toml"],
        2,
        &["mine.toml:11:20: there is no machine 'ap'; did you mean 'app'? known are app"],
    );
}

#[test]
fn a_wrong_setting_is_refused() {
    refused(
        &["run", "split", "--set", "machine.wb.cores=2"],
        2,
        &["--set machine.wb.cores=2: there is no key 'wb'; did you mean 'web'?"],
    );
    refused(&["run", "split", "--set", "cores"], 2, &["path.to.key=value"]);
    refused(
        &["run", "split", "--set", "machine.web.cores=\"two\""],
        2,
        &["--set machine.web.cores", "a whole number"],
    );
    refused(
        &["run", "split", "--set", "machine.web.webserver.render-cost=\"6mss\""],
        2,
        &["not a length of time"],
    );
}

#[test]
fn wrong_words_are_refused_with_a_hint() {
    refused(&["runn"], 2, &["runn", "run"]);
    refused(&["run"], 2, &["CHAPTERS"]);
    refused(&["load", "--rps", "-5"], 2, &["--rps"]);
    refused(&["load", "--rps", "many"], 2, &["many"]);
    refused(&["--network", "8.8", "status"], 2, &["127.N"]);
}

#[test]
fn without_a_lab_commands_say_how_to_start_one() {
    for words in
        [&["status"][..], &["kill", "web"], &["load", "--rps", "5"], &["step"], &["capacity"], &["events"]]
    {
        refused(words, 4, &["no lab is running", "labctl up"]);
    }
}

#[test]
fn unknown_machines_are_refused_with_the_known_ones() {
    let lab = Lab::new();
    lab.succeed(&["up", "split"]);
    for words in [&["kill", "wb"][..], &["freeze", "wb"], &["restart", "wb"]] {
        let output = lab.run(words);
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        assert!(
            String::from_utf8_lossy(&output.stderr)
                .contains("did you mean 'web'? known are app, web, db, plain"),
            "{}",
            shown(&output)
        );
    }
    let add = lab.run(&["add", "web"]);
    assert_eq!(add.status.code(), Some(2), "{}", shown(&add));
    let link = lab.run(&["cut", "app", "db"]);
    assert_eq!(link.status.code(), Some(2), "{}", shown(&link));
    lab.succeed(&["down"]);
}

#[test]
fn an_unknown_architecture_or_part_is_refused() {
    refused(&["audit", "sinlge"], 2, &["did you mean 'single'? known are single, separated"]);
    let nothing = "in 'single' there is nothing that can fail and is called 'redis'; known are app/webserver";
    refused(&["audit", "single", "--only", "redis"], 2, &[nothing]);
    let lab = Lab::new();
    let unknown = "number = 1\ntitle = 't'\nquestion = 'q'\n[machine.a]\nmemcached = {}\n";
    std::fs::write(lab.path().join("mine.toml"), unknown).expect("it can be written");
    refused_in(&lab, &["audit", "mine.toml"], 2, &["mine.toml:5:1: there is no key 'memcached'", "redis"]);
}

#[test]
fn a_missing_price_is_told_before_anything_is_measured() {
    let lab = Lab::new();
    std::fs::write(lab.path().join("prices.toml"), "[month]\nwebserver = 200\n").expect("it can be written");
    let words = ["table", "--only", "single", "--prices", "prices.toml"];
    refused_in(&lab, &words, 2, &["'dbnode' (on app) has no price", "webserver", "under [month]"]);
}

#[test]
fn what_was_not_measured_is_not_advised_on() {
    refused(&["advise", "--rps", "100"], 4, &["there is no measured table", "labctl table"]);
}

#[test]
fn half_a_run_or_another_versions_is_refused() {
    let lab = Lab::new();
    let old = lab.path().join("old");
    std::fs::create_dir(&old).expect("it can be made");
    refused_in(&lab, &["report", "old"], 2, &["is only half of a run"]);
    std::fs::write(old.join("summary.json"), "{\"schema\": \"scaling-lab/run/0\"}")
        .expect("it can be written");
    for words in [["report", "old"], ["replay", "old"]] {
        refused_in(&lab, &words, 2, &["is of version 'scaling-lab/run/0'", "labctl run"]);
    }
    refused_in(&lab, &["compare", "old", "nowhere"], 2, &["is of version"]);
}

#[test]
fn guessing_without_input_is_refused() {
    refused(&["run", "split", "--predict", "--no-input"], 2, &["--predict asks questions", "--no-input"]);
}
