//! The article's scenes, driven by keyboard; each figure on the screen is a measured one.

use page_tests::{Chrome, PageLab, Tab};

use crate::{SOON, health_of, open, result_of, shows};

#[test]
fn a_request_goes_to_the_server_that_was_announced_and_another_server_joins() {
    let Some(chrome) = Chrome::start() else { return };
    let (lab, tab) = open(&chrome, "load-balancer");
    tab.until("document.querySelector('.wire[data-next]') !== null", SOON);
    tab.until(
        "/^round-robin · 0 turns taken · next: web-/.test(document.querySelector('#policy').textContent)",
        SOON,
    );
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let before = tab.text("#w-step output");
        tab.press("Escape");
        tab.press(" ");
        let changed = serde_json::to_string(&before).expect("text is JSON");
        tab.until(&format!("{} !== {changed}", result_of("w-step")), SOON);
        let told = tab.text("#w-step output");
        seen.insert(told.split([' ', ':']).nth(1).unwrap_or_default().to_owned());
    }
    assert_eq!(seen.len(), 3, "the turn goes round: {seen:?}");
    guess_whose_turn_it_is(&tab);
    switch_the_policy(&tab);
    // Add a server: guess first, then measure.
    lab.ask("POST /api/load\n{\"traffic\":\"readers\",\"rate\":120}");
    tab.until("/web-3 3/.test(document.querySelector('#w-add .result').textContent)", SOON);
    tab.write("#w-add .guess", "25");
    tab.enter("#add");
    tab.until("document.querySelector('[data-name=\"web-4\"]') !== null", SOON);
    assert_eq!(lab.lab.machine("web-4")["on"], true);
    tab.until(
        "/you: 25 % · measured: 25 % · close/.test(document.querySelector('#w-add').textContent)",
        SOON,
    );
    tab.until("document.querySelector('#joined').textContent === '0/s failed since it joined'", SOON);
    drop(chrome);
    lab.down();
}

fn guess_whose_turn_it_is(tab: &Tab) {
    // The announced turn is polled repeatedly: three turns have been taken by now.
    tab.until("document.querySelector('#policy').textContent.includes('· 3 turns taken')", SOON);
    let announced: String =
        tab.get("document.querySelector('#policy').textContent.split('next: ')[1].split(',')[0]");
    tab.choose("#w-step label:nth-of-type(2) select", &announced);
    tab.enter("#step");
    tab.until(&format!("{}.includes('you guessed {announced}: 1 of 1 right')", result_of("w-step")), SOON);
}

fn switch_the_policy(tab: &Tab) {
    for policy in ["two-choices", "round-robin"] {
        tab.choose("#policy-choice", policy);
        tab.until(&format!("{} === '{policy} from the next request on'", result_of("w-step")), SOON);
        tab.until(&format!("document.querySelector('#policy').textContent.startsWith('{policy} ·')"), SOON);
    }
    let told = tab.text("#typed");
    assert!(told.contains("/policy -d"), "the command that does the same: {told}");
}

#[test]
fn a_deposit_is_shown_by_every_copy_and_when() {
    let Some(chrome) = Chrome::start() else { return };
    let (lab, tab) = open(&chrome, "replication");
    tab.enter("#deposit");
    tab.until(&shows(&["web-merge", "merge-1", "merge-2", "merge-3"]), SOON);
    tab.until(&format!("/: balance 50;/.test({})", result_of("w-deposit")), SOON);
    let copies: usize = tab.get("document.querySelectorAll('#w-deposit .copies svg text').length");
    assert_eq!(copies, 3);
    tab.until("document.querySelectorAll('#w-deposit .copies .fresh').length > 2", SOON);
    tab.picture("live-page-deposit");
    tab.enter("#read");
    tab.until(
        "document.querySelector('#w-deposit caption')?.textContent === 'All copies, read at once'",
        SOON,
    );
    let balances: Vec<String> = tab.get(
        "[...document.querySelectorAll('#w-deposit tbody tr td:nth-child(2)')].map((one) => one.textContent)",
    );
    assert_eq!(balances, ["50"; 3]);
    tab.enter("#lost");
    tab.until(
        "document.querySelector('#kept').textContent.startsWith('Of the deposits made with this button (1 acknowledged, 0 refused) lost: none. Those of the traffic are not checked here')",
        SOON,
    );
    the_picture_follows_the_scene(&tab);
    drop(chrome);
    lab.down();
}

/// The picture shows what the scene in use is about, until another view is chosen.
fn the_picture_follows_the_scene(tab: &Tab) {
    let quorum = ["web-quorum", "quorum-1", "quorum-2", "quorum-3"];
    tab.choose("#w-deposit select", "web-quorum");
    tab.until(&shows(&quorum), SOON);
    assert_eq!(
        tab.get::<String>("document.querySelector('#focus').selectedOptions[0].textContent"),
        "what “Deposit and read the copies” is about"
    );
    tab.choose("#focus", "web-strict");
    let strict = ["web-strict", "strict-1", "strict-2", "strict-3"];
    tab.until(&shows(&strict), SOON);
    tab.enter("#read");
    tab.until(&format!("{}.includes('quorum-3')", "document.querySelector('#w-deposit').textContent"), SOON);
    assert!(tab.get::<bool>(&shows(&strict)), "the view that was chosen stays");
}

#[test]
fn a_primary_is_killed_and_it_is_said_for_how_long_writes_were_refused() {
    let Some(chrome) = Chrome::start() else { return };
    let (lab, tab) = open(&chrome, "primary-failure");
    lab.ask("POST /api/load\n{\"traffic\":\"deposits\",\"rate\":50}");
    tab.until("Number.parseFloat(document.querySelector('#good').textContent) > 30", SOON);
    let primary = "[...document.querySelectorAll('.machine')].find((one) => one.textContent.includes('primary'))?.dataset.name";
    tab.until(primary, SOON);
    let primary: String = tab.get(primary);
    tab.enter(&format!("[data-name={primary}]"));
    tab.enter("#panel [data-act=kill]");
    let told = "document.querySelector('#refused').textContent";
    // A write that waits for less than the server's patience is acknowledged late: then it was only held up.
    tab.until(
        &format!("/^writes were (refused|held up) for [0-9.]+ s; [0-9none]+ failed$/.test({told})"),
        SOON,
    );
    let told = tab.text("#refused");
    let seconds: f64 = told.split(' ').find_map(|word| word.parse().ok()).expect("it says how long");
    // The others hold an election 0.6 to 1.2 s after the last heartbeat.
    assert!((0.3..12.0).contains(&seconds), "{told}");
    what_is_down_can_only_be_restarted(&tab, &primary);
    drop(chrome);
    lab.down();
}

/// The buttons of a machine that is down say why they do nothing, and the keyboard reaches them.
fn what_is_down_can_only_be_restarted(tab: &Tab, machine: &str) {
    for act in ["kill", "freeze", "thaw"] {
        let button = format!("document.querySelector('#panel [data-act={act}]')");
        tab.until(&format!("{button}.getAttribute('aria-disabled') === 'true'"), SOON);
        let why: String = tab.get(&format!("{button}.title"));
        assert_eq!(why, format!("{machine} is not running: restart {machine} first"));
    }
    assert_eq!(tab.get::<String>("document.activeElement.dataset.act"), "kill", "the focus stays");
    tab.press("k");
    let said = "document.querySelector('#said')";
    tab.until(&format!("{said}.textContent.endsWith('restart {machine} first')"), SOON);
    tab.picture("live-page-down");
    tab.enter("#panel [data-act=restart].helps");
    tab.until(&format!("{} === 'well'", health_of(machine)), SOON);
    tab.until("!document.querySelector('#panel [data-act=kill]').hasAttribute('aria-disabled')", SOON);
    assert_eq!(tab.get::<String>("document.activeElement.dataset.act"), "restart", "the focus stays");
    // Two keys lead from anywhere to what is used most.
    tab.press("s");
    assert!(tab.get::<bool>("document.activeElement.matches('#w-deposit > summary')"));
    tab.press("c");
    assert_eq!(tab.get::<String>("document.activeElement.dataset.act"), "kill");
}

#[test]
fn the_second_lookup_comes_from_the_cache_and_is_faster() {
    let Some(chrome) = Chrome::start() else { return };
    let (lab, tab) = open(&chrome, "cache");
    tab.choose("#w-lookup select", "lb-shared");
    tab.enter("#lookup");
    tab.until(&format!("/^MISS 200 in /.test({})", result_of("w-lookup")), SOON);
    let first = milliseconds(&tab.text("#w-lookup output"));
    tab.enter("#lookup");
    tab.until(&format!("/^HIT 200 in /.test({})", result_of("w-lookup")), SOON);
    let second = milliseconds(&tab.text("#w-lookup output"));
    tab.write("#product", "7");
    tab.enter("#lookup");
    tab.until(&format!("/^MISS 200 .*cache .* ms, db /.test({})", result_of("w-lookup")), SOON);
    let parts: Vec<String> =
        tab.get("[...document.querySelectorAll('#w-lookup .parts span')].map((one) => one.className)");
    assert_eq!(parts, ["part-cache", "part-db", "part-rest"]);
    assert!(second * 2.0 < first, "a hit took {second} ms, a miss {first} ms");
    drop(chrome);
    lab.down();
}

fn milliseconds(told: &str) -> f64 {
    let words: Vec<_> = told.split(' ').collect();
    let at = words.iter().position(|word| *word == "in").expect("it says how long it took");
    words[at + 1].parse().expect("that is a number")
}

#[test]
fn a_visitor_is_known_and_another_one_is_not() {
    let Some(chrome) = Chrome::start() else { return };
    let (lab, tab) = open(&chrome, "sessions");
    tab.choose("#w-visitors select", "lb-shared");
    tab.until("/^lb-shared( shared-[0-9])+ redis$/.test([...document.querySelectorAll('.machine')].map((one) => one.dataset.name).filter((one) => one !== 'db').join(' '))", SOON);
    tab.enter("[data-visitor=ada][data-do=login]");
    tab.until("document.querySelector('#w-visitors output').textContent.startsWith('200')", SOON);
    tab.enter("[data-visitor=ada][data-do=me]");
    tab.until("/^200 by shared/.test(document.querySelector('#w-visitors output').textContent)", SOON);
    tab.enter("[data-visitor=ben][data-do=me]");
    tab.until("document.querySelectorAll('#w-visitors output')[1].textContent.startsWith('401')", SOON);
    drop(chrome);
    lab.down();
}

#[test]
fn what_is_dropped_in_the_final_crash_is_what_the_formula_says() {
    let Some(chrome) = Chrome::start() else { return };
    let (lab, tab) = open(&chrome, "server-failure");
    lab.ask("POST /api/load\n{\"traffic\":\"shoppers\",\"rate\":100}");
    tab.until("Number.parseFloat(document.querySelector('#good').textContent) > 60", SOON);
    tab.choose("#w-crash label:nth-of-type(2) select", "web-2");
    tab.enter("#crash");
    tab.until(&format!("/closed after/.test({})", result_of("w-crash")), SOON);
    // Requests that were in flight when the window closed still finish.
    tab.until("document.querySelector('#failed').classList.contains('bad') === false", SOON);
    let told = tab.text("#w-crash output");
    let figures: Vec<f64> = told
        .split(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [dropped, window, rate, servers, _, formula] = figures[..] else { panic!("{told}") };
    assert_eq!((rate, servers), (100.0, 5.0), "{told}");
    assert!((1.5..4.5).contains(&window), "{told}");
    assert!((0.6..1.4).contains(&(dropped / formula)), "{told}");
    tab.enter("#crash-undo");
    tab.until("document.querySelector('[data-name=\"web-2\"]').dataset.health === 'well'", SOON);
    the_balancers_differ(&lab, &tab);
    drop(chrome);
    lab.down();
}

/// The fault × balancer matrix: one server is cut off, and five balancers are compared by what they drop.
fn the_balancers_differ(lab: &PageLab, tab: &Tab) {
    tab.choose("#w-matrix select", "killed");
    tab.enter("#matrix");
    let cell = |balancer: &str| {
        format!("Number(document.querySelector('[data-cell=\"{balancer} killed\"]').textContent)")
    };
    tab.until(&format!("{} > 20", cell("unchecked")), SOON);
    let dropped: f64 = tab.get(&cell("retries"));
    let unchecked: f64 = tab.get(&cell("unchecked"));
    assert!(dropped * 4.0 < unchecked, "with retries {dropped} were dropped, without checks {unchecked}");
    tab.picture("live-page-matrix");
    tab.enter("#matrix-undo");
    tab.until("/is back/.test(document.querySelector('#w-matrix output').textContent)", SOON);
    assert_eq!(lab.lab.machine("shop-1")["on"], true);
}
