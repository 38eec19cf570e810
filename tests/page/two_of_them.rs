//! Scenes that compare two of something: balancers, set-ups, programs on one machine, machine sizes.

use page_tests::lab::is_calm;
use page_tests::{Chrome, Tab};

use crate::{SOON, health_of, open, result_of};

#[test]
fn the_other_balancer_takes_over_and_it_is_said_how_long_that_took() {
    let Some(chrome) = Chrome::start() else { return };
    let (lab, tab) = open(&chrome, "load-balancer");
    tab.until("/^pair-. owns the address/.test(document.querySelector('#pair-owner').textContent)", SOON);
    let before: String = tab.get("document.querySelector('#pair-owner').textContent.split(' ')[0]");
    lab.ask("POST /api/load\n{\"traffic\":\"shoppers\",\"rate\":100}");
    tab.until("Number.parseFloat(document.querySelector('#good').textContent) > 50", SOON);
    tab.enter("#pair-kill");
    tab.until(&format!("/took over after [0-9]+ ms/.test({})", result_of("w-pair")), SOON);
    let owner = "document.querySelector('#pair-owner').textContent.split(' ')[0]";
    tab.until(&format!("{owner} !== 'nobody' && {owner} !== '{before}'"), SOON);
    let told = tab.text("#w-pair output");
    let ms: f64 = told
        .split("after ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("it says how long")
        .parse()
        .expect("a number");
    assert!((100.0..3_000.0).contains(&ms), "{told}");
    tab.enter("#pair-undo");
    tab.until(
        &format!("document.querySelector('[data-name=\"{before}\"]')?.dataset.health !== 'down'"),
        SOON,
    );
    drop(chrome);
    lab.down();
}

#[test]
fn combined_and_separated_stand_side_by_side_and_the_flood_hurts_one() {
    let Some(chrome) = Chrome::start() else { return };
    let (lab, tab) = open(&chrome, "split");
    let names: Vec<String> =
        tab.get("[...document.querySelectorAll('#w-beside select')].map((one) => one.value)");
    assert_eq!(names, ["combined", "separated"]);
    // Each traffic has its own line, under its own name.
    let lines: Vec<String> = tab.get(
        "[...document.querySelectorAll('#w-beside .keys li:not([hidden])')].map((one) => one.textContent)",
    );
    assert_eq!(lines, ["probe-combined", "probe-separated", "flood-combined", "flood-separated"]);
    // A few probes of both databases, then a flood of page requests to both web servers.
    tab.focus("#both-probe");
    for _ in 0..14 {
        tab.press("ArrowRight");
    }
    let figure = |side: &str, column: usize| {
        format!(
            "Number.parseFloat(document.querySelector('[data-side={side}][data-does=probe] td:nth-of-type({column})').textContent)"
        )
    };
    tab.until(&format!("{} > 2 && {} > 2", figure("left", 1), figure("right", 1)), SOON);
    tab.focus("#both-flood");
    for _ in 0..50 {
        tab.press("ArrowRight");
    }
    // 125 pages a second are more than one core can make, so a database that shares the core has to wait.
    tab.until(&format!("{} > 4 * {}", figure("left", 2), figure("right", 2)), SOON);
    tab.picture("live-page-beside");
    // The chart of the probes has their figures, and not those of the flood.
    tab.enter("#w-beside .chart:first-child summary");
    let cell = |column: usize| {
        format!(
            "Number.parseFloat(document.querySelector('#w-beside .chart:first-child tbody tr td:nth-of-type({column})')?.textContent)"
        )
    };
    tab.until(&format!("{} > 2 * {}", cell(1), cell(2)), SOON);
    drop(chrome);
    lab.down();
}

#[test]
fn two_programs_die_with_their_machine_and_a_doubled_one_can_do_more() {
    let Some(chrome) = Chrome::start() else { return };
    let (lab, tab) = open(&chrome, "one-machine");
    tab.enter("#capacity");
    let found = "Number.parseFloat(document.querySelector('#w-capacity tbody tr th')?.textContent ?? '0')";
    let within = std::time::Duration::from_secs(60);
    tab.until(&format!("{found} > 0 || /Not to be trusted/.test({})", result_of("w-capacity")), within);
    let one: f64 = tab.get(found);
    assert!(!is_calm() || (60.0..110.0).contains(&one), "one core can do {one}: {}", tab.text("#w-capacity"));
    let tried: usize = tab.get("document.querySelectorAll('#w-capacity .tried li').length");
    assert!(tried > 2, "{tried} rates were tried");
    // The machine may not survive the highest rate: then it is restarted, and the price is that of the measured
    // machine.
    tab.until(&format!("{} === 'well'", health_of("app")), SOON);
    let row: Vec<String> = tab.get(
        "[...document.querySelectorAll('#w-capacity tbody tr:first-child td')].map((one) => one.innerText)",
    );
    assert_eq!(row[..2], ["1", "$200"], "{}", tab.text("#w-capacity"));
    let is_trusted = !tab.text("#w-capacity").contains("Not to be trusted");
    if is_trusted {
        the_capacity_is_marked_on_the_slider(&tab, one);
    }

    tab.enter("[data-name=app]");
    tab.until("document.querySelector('[data-act=resize]') !== null", SOON);
    let price = lab.ask("GET /api/state")["machines"][0]["price"].as_f64().expect("it has a price");
    tab.enter("[data-act=resize]");
    tab.until(
        &format!("document.querySelector('#panel').textContent.includes('${} a month')", price * 2.0),
        SOON,
    );
    assert_eq!(lab.ask("GET /api/state")["machines"][0]["cores"], 2);
    // Its restart is one line, and the rest of it is folded.
    let line = "[...document.querySelectorAll('#events li')].some((one) => /app resized: 2 cores, [0-9]+ MiB/.test(one.textContent))";
    tab.until(line, SOON);
    let folded: Vec<String> = tab.get(
        "[...document.querySelectorAll('#all-events > [data-event=resized] .steps li')].map((one) => one.dataset.event)",
    );
    for event in ["did", "machine_ended", "machine_started", "machine_ready"] {
        assert!(folded.iter().any(|one| one == event), "{event}: {folded:?}");
    }
    if is_trusted {
        tab.until(
            "document.querySelector('.marks .hint').textContent.startsWith('The machines have changed')",
            SOON,
        );
    }

    // This is more than it can take: memory fills up, and both programs die at once.
    lab.ask("POST /api/load\n{\"traffic\":\"shoppers\",\"rate\":900}");
    tab.until(
        &format!(
            "/app.webserver and app.dbnode died|app.dbnode and app.webserver died/.test({})",
            result_of("w-together")
        ),
        within,
    );
    let told = tab.text("#w-together output");
    let apart: f64 = told
        .split("died ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("it says how far apart")
        .parse()
        .expect("a number");
    assert!(apart < 1_000.0, "{told}");
    drop(chrome);
    lab.down();
}

/// What was measured is marked on the slider, and one step of it is one percent.
fn the_capacity_is_marked_on_the_slider(tab: &Tab, capacity: f64) {
    tab.until("!document.querySelector('.marks').hidden", SOON);
    let mark = |share: &str| tab.text(&format!(".marks [data-mark='{share}']"));
    assert_eq!(mark("100"), format!("capacity: {capacity:.0}/s"));
    let told = mark("95");
    let full: f64 = told.strip_prefix("95 %: ").and_then(|rate| rate.parse().ok()).expect("it is a rate");
    assert!((full - 0.95 * capacity).abs() <= 1.0, "95 % of {capacity} is {told}");
    // The marks are where the thumb is at these rates.
    let at = |share: &str| -> f64 {
        tab.get(&format!(
            "(() => {{ const [box, mark] = ['#rate-shoppers', \".marks [data-mark='{share}']\"].map((one) => document.querySelector(one).getBoundingClientRect()); \
             return (({share} < 100 ? mark.right : mark.left) - box.left - 8) / (box.width - 16); }})()"
        ))
    };
    assert!((at("95") - 0.475).abs() < 0.02 && (at("100") - 0.5).abs() < 0.02, "{} {}", at("95"), at("100"));
    tab.focus("#rate-shoppers");
    for _ in 0..20 {
        tab.press("ArrowRight");
    }
    let sent = "Number(document.querySelector('.slider input[type=number]').value)";
    tab.until(&format!("Math.abs({sent} - {capacity} * 0.2) <= 0.2"), SOON);
    tab.until("document.querySelector('#rate-shoppers').getAttribute('aria-valuetext').endsWith(', 20 % of the capacity')", SOON);
    tab.picture("live-page-capacity");
    tab.press("Home");
    tab.until("document.querySelector('#offered').textContent === '0/s'", SOON);
}
