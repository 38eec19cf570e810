//! The screen "Lab": traffic, faults, undo, whose hand it was.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use page_tests::lab::axe;
use page_tests::{Chrome, PageLab, Tab};

use crate::{DRAWN, SOON, health_of};

/// A slider's traffic is what is sent, and what the page says of it is what is measured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_student_loads_the_lab_kills_a_server_and_takes_it_back_by_keyboard() {
    let Some(chrome) = Chrome::start().await else { return };
    let lab = PageLab::up("server-failure");
    let opened = Instant::now();
    let tab = chrome.open(&lab.url).await;
    tab.until(DRAWN, SOON).await;
    println!("first picture after {:?}", opened.elapsed());
    let address: String = tab.get("location.href").await;
    assert!(!address.contains("token"), "the token stays in the address line: {address}");
    let elsewhere: bool = tab
        .get("performance.getEntriesByType('resource').every((one) => new URL(one.name).origin === location.origin)")
        .await;
    assert!(elsewhere, "something was fetched from elsewhere");

    load_by_slider(&lab, &tab).await;
    kill_and_undo_by_keyboard(&lab, &tab).await;
    see_a_kill_from_outside(&lab, &tab).await;

    tab.picture("lab").await;
    tab.theme("dark").await;
    tab.picture("lab-dark").await;
    tab.press("2").await;
    tab.until("!document.querySelector('#screen-traffic').hidden", SOON).await;
    tab.until("document.querySelector('.served tbody').textContent.includes('shoppers')", SOON).await;
    tab.picture("traffic").await;
    tab.press("3").await;
    tab.until("document.querySelectorAll('.step').length > 3", SOON).await;
    tab.picture("story").await;
    tab.press("4").await;
    tab.picture("log").await;
    chrome.close().await;
    lab.down();
}

async fn load_by_slider(lab: &PageLab, tab: &Tab) {
    tab.focus("#rate-shoppers").await;
    let began = Instant::now();
    for _ in 0..40 {
        tab.press("ArrowRight").await;
    }
    tab.until("document.querySelector('#offered').textContent === '80/s'", SOON).await;
    println!("40 steps of the slider are offered after {:?}", began.elapsed());
    let typed = tab.text("#typed").await;
    assert_eq!(typed, "labctl load --rps 80 --traffic shoppers --background");
    // Measured, not told: what the balancer counted.
    tab.until("Number.parseFloat(document.querySelector('#good').textContent) > 60", SOON).await;
    let state = lab.ask("GET /api/state");
    let wires = state["wires"].as_array().expect("wires are a list");
    let rate = |from: &str| {
        let of = wires.iter().filter(|wire| wire["from"] == from);
        of.filter_map(|wire| wire["rps"].as_f64()).sum::<f64>()
    };
    assert!((50.0..110.0).contains(&rate("lb")), "the balancer forwards {}: {state}", rate("lb"));
    let status = lab.lab.json(&["status"]);
    let names = |document: &serde_json::Value| {
        let machines = document["machines"].as_array().expect("machines are a list");
        machines.iter().map(|machine| machine["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&state), names(&status));
}

async fn kill_and_undo_by_keyboard(lab: &PageLab, tab: &Tab) {
    tab.enter("[data-name=\"web-2\"]").await;
    tab.until("document.querySelector('#panel .status')?.textContent.startsWith('web-2')", SOON).await;
    tab.press("k").await;
    tab.until(&format!("{} === 'down'", health_of("web-2")), SOON).await;
    assert_eq!(lab.lab.machine("web-2")["on"], false);
    tab.until("document.querySelector('#typed').textContent === 'labctl kill web-2'", SOON).await;
    tab.until("document.querySelector('#events').innerText.includes('by labctl')", SOON).await;
    // Three checks, a second apart, until the balancer knows: failures are counted since the fault.
    tab.until("/since/.test(document.querySelector('#failed + small').textContent)", SOON).await;
    tab.until(
        "[...document.querySelectorAll('#events li')].some((one) => one.dataset.event === 'ejected')",
        SOON,
    )
    .await;
    tab.enter("#events li[data-event=machine_ended] .undo").await;
    tab.until(&format!("{} !== 'down'", health_of("web-2")), SOON).await;
    assert_eq!(lab.lab.machine("web-2")["on"], true);
}

async fn see_a_kill_from_outside(lab: &PageLab, tab: &Tab) {
    let mut times = Vec::new();
    for machine in ["web-3", "web-4", "web-5"] {
        let pid = lab.pid_of(machine);
        PageLab::signal(pid, Signal::SIGKILL);
        times.push(tab.until(&format!("{} === 'down'", health_of(machine)), SOON).await);
        let told = format!(
            "[...document.querySelectorAll('#events li[data-by=somebody_else]')].some((one) => one.innerText.includes('{machine} (pid {pid})'))"
        );
        tab.until(&told, SOON).await;
    }
    times.sort_unstable();
    println!("an outside kill is on the screen after {times:?}");
    assert!(times[1] <= Duration::from_millis(400), "half of the kills took longer to be seen: {times:?}");
}

/// One traffic, whoever steers it: two tabs and a program show the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_and_a_program_steer_one_traffic() {
    let Some(chrome) = Chrome::start().await else { return };
    let lab = PageLab::up("one-machine");
    let (one, other) = (chrome.open(&lab.url).await, chrome.open(&lab.url).await);
    one.until(DRAWN, SOON).await;
    other.until(DRAWN, SOON).await;
    lab.lab.succeed(&["load", "--rps", "30", "--background"]);
    for tab in [&one, &other] {
        tab.until("document.querySelector('#offered').textContent === '30/s'", SOON).await;
        tab.until("document.querySelector('.slider input[type=number]').value === '30'", SOON).await;
    }
    let refused = lab.ask("POST /api/load\n{\"traffic\":\"shoppers\",\"rate\":20001}");
    assert_eq!(refused["error"], "not_possible", "{refused}");
    let refused = lab.ask("POST /api/act\n{\"act\":\"kill\",\"name\":\"nobody\"}");
    assert!(refused["detail"].as_str().is_some_and(|why| why.contains("there are: app")), "{refused}");
    chrome.close().await;
    lab.down();
}

/// 18 machines, a phone, both themes, and nobody is left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_fits_a_phone_and_is_accessible_in_both_themes() {
    let Some(chrome) = Chrome::start().await else { return };
    let lab = PageLab::up("server-failure");
    let tab = chrome.open(&lab.url).await;
    tab.until(DRAWN, SOON).await;
    tab.get::<bool>("(() => { const f = document.querySelector('#focus'); f.value = ''; f.dispatchEvent(new Event('change')); return true; })()").await;
    tab.until("document.querySelectorAll('.machine').length === 18", SOON).await;
    tab.picture("eighteen").await;
    tab.enter("#as-table").await;
    tab.until("document.querySelectorAll('#picture-table tbody')[0]?.children.length === 18", SOON).await;
    tab.enter("#as-table").await;
    tab.enter("[data-name=\"web-1\"]").await;
    tab.size(390, 844).await;
    tab.until("document.documentElement.scrollWidth <= window.innerWidth", SOON).await;
    tab.picture("phone").await;
    tab.size(1440, 1000).await;
    if let Some(axe) = axe() {
        tab.inject(&axe).await;
        for theme in ["light", "dark"] {
            tab.theme(theme).await;
            for screen in ["1", "2", "3", "4"] {
                tab.press(screen).await;
                let violations: Vec<String> = tab
                    .get("axe.run().then((found) => found.violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html + ' ' + node.failureSummary).join(' | ')}`))")
                    .await;
                assert_eq!(violations, Vec::<String>::new(), "screen {screen}, {theme}");
            }
        }
    }
    chrome.close().await;
    lab.down();
}
