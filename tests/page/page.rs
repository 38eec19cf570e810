//! The live page: driven by keyboard, and checked against measurements.

#![allow(clippy::print_stdout, reason = "what is measured is said")]

mod budgets;
mod by_hand;
mod hostile;
mod kept;
mod lab_screen;
mod many;
mod reconnect;
mod scenes;
mod two_of_them;

use std::time::Duration;

use page_tests::{Chrome, PageLab, Tab};

/// The default limit for anything to happen on the page.
const SOON: Duration = Duration::from_secs(20);

/// True once the picture is drawn: every machine has a card.
const DRAWN: &str = "document.querySelectorAll('.machine').length > 0 && document.querySelector('#connection').dataset.connection === 'live'";

/// Starts the lab of a chapter, and opens a tab that shows it.
fn open(chrome: &Chrome, chapter: &str) -> (PageLab, Tab) {
    let lab = PageLab::up(chapter);
    let tab = chrome.open(&lab.url);
    tab.until(DRAWN, SOON);
    (lab, tab)
}

/// Returns an expression for the result that a scene displays.
fn result_of(widget: &str) -> String {
    format!("(document.querySelector('#{widget} output')?.textContent ?? '')")
}

/// Returns an expression that is true once the picture shows exactly these machines, in any order.
fn shows(machines: &[&str]) -> String {
    let mut names = machines.to_vec();
    names.sort_unstable();
    format!(
        "[...document.querySelectorAll('.machine')].map((one) => one.dataset.name).sort().join(' ') === '{}'",
        names.join(" ")
    )
}

/// Returns an expression for the state of a machine's card.
fn health_of(machine: &str) -> String {
    format!("document.querySelector('[data-name=\"{machine}\"]')?.dataset.health")
}
