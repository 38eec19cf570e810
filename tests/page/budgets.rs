//! The page's budgets: time to the first picture, bytes, and CPU time.

use std::thread::sleep;
use std::time::Duration;

use page_tests::lab::{assert_within, curl};
use page_tests::{Chrome, PageLab};

use crate::{DRAWN, SOON};

/// For how long CPU time is measured.
const COUNTED: Duration = Duration::from_secs(6);
/// The share of a core that one open tab may cost for ten machines. A debug build costs several times as much as a
/// release.
const TAB_MAX: f64 = if cfg!(debug_assertions) { 0.2 } else { 0.03 };

#[test]
fn the_first_picture_comes_within_a_second_and_the_page_is_light() {
    let Some(chrome) = Chrome::start() else { return };
    let lab = PageLab::up("server-failure");
    let tab = chrome.open(&lab.url);
    tab.until(DRAWN, SOON);
    let drawn: f64 = tab.get("performance.getEntriesByName('drawn')[0].startTime");
    assert_within("the first picture", Duration::from_secs_f64(drawn / 1e3), Duration::from_secs(1));
    let bytes: f64 = tab
        .get("[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].reduce((sum, one) => sum + one.transferSize, 0)");
    println!("the page is {bytes} bytes on the wire");
    assert!((10_000.0..=100_000.0).contains(&bytes), "the page is {bytes} bytes");

    // The page must not make the generator less punctual.
    lab.ask("POST /api/load\n{\"traffic\":\"shoppers\",\"rate\":100}");
    sleep(Duration::from_secs(2));
    let lag = lab.ask("GET /api/state")["totals"]["lag_ms"].as_f64().expect("it is a figure");
    println!("99 % of the requests were less than {lag:.1} ms late");
    drop(chrome);
    lab.down();
}

/// Measures the CPU time of the keeper, not elapsed time: other programs hardly affect it.
#[test]
fn a_tab_costs_a_small_share_of_a_core_for_ten_machines() {
    let Some(chrome) = Chrome::start() else { return };
    let lab = PageLab::up("server-failure");
    let machines = lab.ask("GET /api/state")["machines"].as_array().map_or(0, Vec::len);
    let quiet = usage(lab.keeper());
    lab.ask("POST /api/load\n{\"traffic\":\"shoppers\",\"rate\":50}");
    let alone = usage(lab.keeper());
    let tab = chrome.open(&lab.url);
    tab.until(DRAWN, SOON);
    tab.until("Number.parseFloat(document.querySelector('#good').textContent) > 30", SOON);
    let watched = usage(lab.keeper());
    let cost = watched - alone;
    println!(
        "the keeper, of a core: {:.1} % at rest, {:.1} % with traffic, {:.1} % with a tab as well, for {machines} machines",
        quiet * 100.0,
        alone * 100.0,
        watched * 100.0
    );
    let limit = TAB_MAX * machines as f64 / 10.0;
    assert!(cost <= limit, "a tab costs {:.1} % of a core", cost * 100.0);
    drop(chrome);
    lab.down();
}

/// An idle lab sends only one state a second, as a heartbeat.
#[test]
fn a_lab_at_rest_is_told_of_once_a_second() {
    let lab = PageLab::up("one-machine");
    let count = || {
        let bearer = format!("authorization: Bearer {}", lab.token);
        let url = format!("http://{}/api/stream", lab.address);
        // The stream never ends by itself: curl gives up after five seconds.
        let told = curl(&["--no-buffer", "--header", &bearer, &url]);
        told.matches("event: state").count()
    };
    let at_rest = count();
    assert!((3..=12).contains(&at_rest), "{at_rest} states in five seconds in which nothing happened");
    lab.ask("POST /api/load\n{\"traffic\":\"shoppers\",\"rate\":40}");
    let busy = count();
    println!("states in five seconds: {at_rest} at rest, {busy} with traffic");
    assert!(busy > at_rest, "{busy} states in five seconds of traffic, {at_rest} at rest");
    lab.down();
}

/// Returns the share of a core that a process uses.
fn usage(pid: i32) -> f64 {
    let before = PageLab::cpu_seconds(pid);
    sleep(COUNTED);
    (PageLab::cpu_seconds(pid) - before) / COUNTED.as_secs_f64()
}
