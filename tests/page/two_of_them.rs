//! Scenes that compare two of something: balancers, set-ups, programs on one machine, machine sizes.

use page_tests::Chrome;
use page_tests::lab::is_calm;

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

    tab.enter("[data-name=app]");
    tab.until("document.querySelector('[data-act=resize]') !== null", SOON);
    let price = lab.ask("GET /api/state")["machines"][0]["price"].as_f64().expect("it has a price");
    tab.enter("[data-act=resize]");
    tab.until(
        &format!("document.querySelector('#panel').textContent.includes('${} a month')", price * 2.0),
        SOON,
    );
    assert_eq!(lab.ask("GET /api/state")["machines"][0]["cores"], 2);

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
