//! A run on the page: live, and replayed afterwards.

use std::time::Duration;

use page_tests::{Chrome, PageLab};
use tests::{Lab, wait};

use crate::{DRAWN, SOON};

/// A chapter that takes a few seconds: one claim holds, and one poses a question.
const CHAPTER: &str = r#"
number = 1
title = "Small"
question = "Does one machine answer?"

[machine.lb]
lb = { upstreams = "web", health-interval = "200ms" }

[machine.web]
count = 2
webserver = { db = "db", page-cost = "1ms" }

[machine.db]
dbnode = { products = 10 }

[traffic.shoppers]
to = "lb"
path = "/products/{key}"
keys = 10

[[step]]
name = "calm"
say = "Fifty requests a second."
load = { shoppers = 50 }
warmup = "1s"
measure = "2s"

[[step.expect]]
claim = "Nothing fails."
ask = "How many requests fail?"
measure = "failed(calm)"
equals = 0

[[step]]
name = "crash"
say = "A server is killed."
kill = ["web-1"]
until = { ejected = "web-1", by = "lb", within = "10s" }

[[step.expect]]
claim = "The balancer notices."
measure = "happened(crash)"
equals = 1
"#;

#[test]
fn a_run_is_told_as_it_happens_and_can_be_moved_through_afterwards() {
    let Some(chrome) = Chrome::start() else { return };
    let lab = Lab::new();
    std::fs::write(lab.path().join("small.toml"), CHAPTER).expect("the chapter can be written");
    let mut run = lab.plain_labctl();
    run.args(["run", "small.toml", "--page=127.0.0.1:0"]).stdout(std::process::Stdio::null());
    run.stderr(std::process::Stdio::null());
    let mut run = run.spawn().expect("labctl can be started");
    let mut lab = Some(lab);
    let (page, _) = wait::until("the run's page", Duration::from_secs(30), || {
        match PageLab::of(lab.take().expect("it is given back")) {
            Ok(page) => Some(page),
            Err(again) => {
                lab = Some(again);
                None
            }
        }
    });
    let tab = chrome.open(&page.url);
    tab.until(DRAWN, SOON);
    tab.screen("3");
    tab.write(".step .guess", "3");
    tab.until("document.querySelector('.step[aria-current=step]') !== null", SOON);
    let refused = page.ask("POST /api/load\n{\"traffic\":\"shoppers\",\"rate\":5}");
    assert_eq!(refused["error"], "not_ready", "{refused}");
    tab.until("document.querySelectorAll('[data-verdict=holds]').length > 0", SOON);
    tab.until("/you: 3.*measured: 0/.test(document.querySelector('#story').textContent)", SOON);
    tab.until(
        "document.querySelector('#run-now').textContent.includes('2 of 2 claims are as expected')",
        SOON,
    );
    tab.picture("live-page-story");
    assert!(run.wait().expect("it ends").success());
    tab.until("document.querySelector('#connection').dataset.connection === 'lost'", SOON);
    // The verdicts remain readable.
    let verdicts: usize = tab.get("document.querySelectorAll('[data-verdict=holds]').length");
    assert_eq!(verdicts, 2);
    let PageLab { lab, .. } = page;
    let lab = move_through_it(&chrome, lab);
    what_differs_between_two_runs(&chrome, lab);
    drop(chrome);
}

fn move_through_it(chrome: &Chrome, lab: Lab) -> Lab {
    let page = PageLab::up_with(lab, "one-machine", &[]);
    let tab = chrome.open(&page.url);
    tab.until(DRAWN, SOON);
    tab.screen("5");
    tab.until("document.querySelectorAll('#run-first option').length === 2", SOON);
    let run: String = tab.get("document.querySelector('#run-first option:last-child').value");
    assert!(run.starts_with("small/"), "{run}");
    // One run is shown at once, with how to make another one.
    tab.until("document.querySelector('#run-first').value !== ''", SOON);
    tab.until("/There is one run of small.*labctl run small --seed 7/.test(document.querySelector('#second-run').textContent)", SOON);
    tab.choose("#run-first", &run);
    tab.choose("#run-second", &run);
    let web = |side: usize| {
        format!(
            "document.querySelectorAll('.side-run')[{side}].querySelector('[data-name=\"web-1\"]')?.dataset.health"
        )
    };
    tab.until(&format!("{} === 'well' && {} === 'well'", web(0), web(1)), SOON);
    tab.focus("#scrub");
    tab.press("End");
    tab.until(&format!("{} === 'down' && {} === 'down'", web(0), web(1)), SOON);
    tab.until("document.querySelector('.side-run .events').textContent.includes('crash')", SOON);
    tab.press("Home");
    tab.until(&format!("{} === 'well'", web(0)), SOON);
    tab.enter("#play");
    tab.until("Number.parseFloat(document.querySelector('#moment').textContent) > 1", SOON);
    tab.enter("#play");
    tab.picture("live-page-compare");
    let refused = page.ask("GET /api/runs/small/never");
    assert_eq!(refused["error"], "not_possible", "{refused}");
    let refused = page.ask("GET /api/runs/..%2f..%2fetc/passwd");
    assert_eq!(refused["error"], "bad_request", "{refused}");
    let refused = page.ask("GET /api/compare/small/..%2fnever/1");
    assert_eq!(refused["error"], "bad_request", "{refused}");
    page.end()
}

/// Another run, with another chapter file: the page picks both, and says what differs.
fn what_differs_between_two_runs(chrome: &Chrome, lab: Lab) {
    let chapter = CHAPTER.replace("equals = 0", "at-least = 1");
    std::fs::write(lab.path().join("small.toml"), chapter).expect("the chapter can be written");
    assert_eq!(
        lab.run(&["run", "small.toml", "--no-input"]).status.code(),
        Some(1),
        "nothing fails, and one should"
    );
    let page = PageLab::up_with(lab, "one-machine", &[]);
    let tab = chrome.open(&page.url);
    tab.until(DRAWN, SOON);
    tab.screen("5");
    tab.until("document.querySelector('#differs').textContent === 'One verdict differs.'", SOON);
    let cells = |caption: &str| -> Vec<String> {
        tab.get(&format!(
            "[...[...document.querySelectorAll('#compare caption')].find((one) => one.textContent === '{caption}')\
             .parentElement.querySelectorAll('tbody tr:first-child > *')].map((one) => one.textContent)"
        ))
    };
    assert_eq!(cells("The chapter files"), ["step.calm.expect.1.at-least", "–", "1"]);
    assert_eq!(
        cells("Verdicts and figures"),
        ["calm: Nothing fails.", "✓ 0", "✗ 0", "the same, another verdict"]
    );
    tab.picture("live-page-differs");
    let run: String = tab.get("document.querySelector('#run-first').value");
    tab.choose("#run-second", &run);
    tab.until("document.querySelector('#differs').textContent === 'This is one run, twice.'", SOON);
    page.down();
}
