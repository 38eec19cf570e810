//! A page with many machines, and one without JavaScript.

use page_tests::lab::curl;
use page_tests::{Chrome, PageLab};
use tests::{Lab, wait};

use crate::{DRAWN, SOON};

#[test]
fn many_machines_are_one_card_and_each_can_still_be_chosen() {
    let Some(chrome) = Chrome::start() else { return };
    let lab = PageLab::up_with(Lab::new(), "more-servers", &["--set", "machine.web.count=14"]);
    let tab = chrome.open(&lab.url);
    tab.until(DRAWN, SOON);
    tab.until("document.querySelector('[data-name=web]')?.textContent.includes('14 up')", SOON);
    let cards: usize = tab.get("document.querySelectorAll('#picture .machine').length");
    assert_eq!(cards, 3, "a balancer, the servers, a database");
    tab.enter("[data-name=web]");
    tab.until("document.querySelectorAll('[data-member]').length === 14", SOON);
    tab.enter("[data-member=web-9]");
    tab.until("document.querySelector('#panel .status').textContent.startsWith('web-9')", SOON);
    let _: bool = tab.get("(document.activeElement?.blur(), true)");
    tab.press("k");
    tab.until("document.querySelector('[data-name=web]').textContent.includes('1 down · 13 up')", SOON);
    assert_eq!(lab.lab.machine("web-9")["on"], false);
    without_javascript(&lab);
    drop(chrome);
    lab.down();
}

/// The tables still show the state.
fn without_javascript(lab: &PageLab) {
    let bearer = format!("authorization: Bearer {}", lab.token);
    let page = curl(&[&format!("http://{}/", lab.address)]);
    assert!(page.contains("<noscript>") && page.contains("href=\"/tables\""), "{page}");
    let look = || curl(&["--header", &bearer, &format!("http://{}/tables", lab.address)]);
    // At first it is only known not to answer.
    let is_down = |tables: &str| tables.contains("<td>web-9</td><td>–</td><td>down</td>");
    wait::until_true("web-9 is down in the tables", SOON, || is_down(&look()));
    let tables = look();
    assert!(tables.contains("is gone: killed by signal 9, by labctl"), "{tables}");
    assert!(!tables.contains("<script"), "{tables}");
    let stranger = curl(&[
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        &format!("http://{}/tables", lab.address),
    ]);
    assert_eq!(stranger, "401");
}
