//! The live page: acted on by keyboard, and held against what was measured.

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

/// Whatever happens on the page happens within this; what has a tighter bound says so.
const SOON: Duration = Duration::from_secs(20);

/// The picture is there: every machine has a card.
const DRAWN: &str = "document.querySelectorAll('.machine').length > 0 && document.querySelector('#connection').dataset.connection === 'live'";

/// A lab of a chapter, and a tab that shows it.
fn open(chrome: &Chrome, chapter: &str) -> (PageLab, Tab) {
    let lab = PageLab::up(chapter);
    let tab = chrome.open(&lab.url);
    tab.until(DRAWN, SOON);
    (lab, tab)
}

/// An expression for what a scene says it has measured.
fn result_of(widget: &str) -> String {
    format!("(document.querySelector('#{widget} output')?.textContent ?? '')")
}

/// An expression for the state word of a machine's card.
fn health_of(machine: &str) -> String {
    format!("document.querySelector('[data-name=\"{machine}\"]')?.dataset.health")
}
