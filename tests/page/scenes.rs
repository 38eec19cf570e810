//! The article's scenes: each is done by keyboard, and its figure is one that was measured.

use page_tests::{Chrome, PageLab, Tab};

use crate::{DRAWN, SOON};

async fn open(chrome: &Chrome, chapter: &str) -> (PageLab, Tab) {
    let lab = PageLab::up(chapter);
    let tab = chrome.open(&lab.url).await;
    tab.until(DRAWN, SOON).await;
    (lab, tab)
}

fn result_of(widget: &str) -> String {
    format!("(document.querySelector('#{widget} output')?.textContent ?? '')")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_goes_to_the_server_that_was_announced_and_another_server_joins() {
    let Some(chrome) = Chrome::start().await else { return };
    let (lab, tab) = open(&chrome, "load-balancer").await;
    tab.until("document.querySelector('.wire[data-next=true]') !== null", SOON).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let before = tab.text("#w-step output").await;
        tab.press("Escape").await;
        tab.press(" ").await;
        let changed = serde_json::to_string(&before).expect("text is JSON");
        tab.until(&format!("{} !== {changed}", result_of("w-step")), SOON).await;
        let told = tab.text("#w-step output").await;
        seen.insert(told.split([' ', ':']).nth(1).unwrap_or_default().to_owned());
    }
    assert_eq!(seen.len(), 3, "the turn goes round: {seen:?}");
    tab.enter("#add").await;
    tab.until("document.querySelector('[data-name=\"web-4\"]') !== null", SOON).await;
    assert_eq!(lab.lab.machine("web-4")["on"], true);
    chrome.close().await;
    lab.down();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_is_shown_by_every_copy_and_when() {
    let Some(chrome) = Chrome::start().await else { return };
    let (lab, tab) = open(&chrome, "replication").await;
    tab.enter("#deposit").await;
    tab.until(&format!("/: balance 50;/.test({})", result_of("w-deposit")), SOON).await;
    let copies: usize = tab.get("document.querySelectorAll('#w-deposit .copies svg text').length").await;
    assert_eq!(copies, 3);
    tab.until("document.querySelectorAll('#w-deposit .copies .fresh').length > 10", SOON).await;
    tab.picture("deposit").await;
    tab.enter("#read").await;
    tab.until("document.querySelectorAll('#w-deposit tbody tr').length === 3", SOON).await;
    let balances: Vec<String> =
        tab.get("[...document.querySelectorAll('#w-deposit tbody tr td:nth-child(2)')].map((one) => one.textContent)").await;
    assert_eq!(balances, ["50"; 3]);
    chrome.close().await;
    lab.down();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_lookup_comes_from_the_cache_and_is_faster() {
    let Some(chrome) = Chrome::start().await else { return };
    let (lab, tab) = open(&chrome, "cache").await;
    let chosen: bool = tab
        .get("(() => { const s = document.querySelector('#w-lookup select'); s.value = 'lb-shared'; return s.value === 'lb-shared'; })()")
        .await;
    assert!(chosen);
    tab.enter("#lookup").await;
    tab.until(&format!("/^MISS 200 in /.test({})", result_of("w-lookup")), SOON).await;
    let first = milliseconds(&tab.text("#w-lookup output").await);
    tab.enter("#lookup").await;
    tab.until(&format!("/^HIT 200 in /.test({})", result_of("w-lookup")), SOON).await;
    let second = milliseconds(&tab.text("#w-lookup output").await);
    assert!(second * 2.0 < first, "a hit took {second} ms, a miss {first} ms");
    chrome.close().await;
    lab.down();
}

fn milliseconds(told: &str) -> f64 {
    let words: Vec<_> = told.split(' ').collect();
    let at = words.iter().position(|word| *word == "in").expect("it says how long it took");
    words[at + 1].parse().expect("that is a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_is_known_and_another_one_is_not() {
    let Some(chrome) = Chrome::start().await else { return };
    let (lab, tab) = open(&chrome, "sessions").await;
    tab.get::<bool>(
        "(() => { document.querySelector('#w-visitors select').value = 'lb-shared'; return true; })()",
    )
    .await;
    tab.enter("[data-visitor=ada][data-do=login]").await;
    tab.until("document.querySelector('#w-visitors output').textContent.startsWith('200')", SOON).await;
    tab.enter("[data-visitor=ada][data-do=me]").await;
    tab.until("/^200 by shared/.test(document.querySelector('#w-visitors output').textContent)", SOON).await;
    tab.enter("[data-visitor=ben][data-do=me]").await;
    tab.until("document.querySelectorAll('#w-visitors output')[1].textContent.startsWith('401')", SOON).await;
    chrome.close().await;
    lab.down();
}
