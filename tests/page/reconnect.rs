//! A page that loses its lab says so, and reconnects when it is back.

use nix::sys::signal::Signal;
use page_tests::{Chrome, PageLab};

use crate::{DRAWN, SOON, health_of};

#[test]
fn a_frozen_keeper_is_said_and_nothing_is_missed_or_told_twice() {
    let Some(chrome) = Chrome::start() else { return };
    let lab = PageLab::up("one-machine");
    let tab = chrome.open(&lab.url);
    tab.until(DRAWN, SOON);
    let machine = lab.pid_of("app");
    let keeper = lab.keeper();
    PageLab::signal(keeper, Signal::SIGSTOP);
    tab.until("document.querySelector('#connection').dataset.connection === 'lost'", SOON);
    PageLab::signal(machine, Signal::SIGKILL);
    PageLab::signal(keeper, Signal::SIGCONT);
    tab.until("document.querySelector('#connection').dataset.connection === 'live'", SOON);
    tab.until(&format!("{} === 'down'", health_of("app")), SOON);
    let told: usize = tab.get("document.querySelectorAll('#events li[data-event=machine_ended]').length");
    assert_eq!(told, 1);
    let ids: bool = tab
        .get("new Set([...document.querySelectorAll('#all-events li')].map((one) => one.innerText)).size === document.querySelectorAll('#all-events li').length");
    assert!(ids, "an event was told twice");
    drop(chrome);
    lab.down();
}

/// The tab of a lab that has ended finds the next lab of the same directory.
#[test]
fn an_old_tab_finds_the_next_lab() {
    let Some(chrome) = Chrome::start() else { return };
    let lab = PageLab::up("one-machine");
    let tab = chrome.open(&lab.url);
    tab.until(DRAWN, SOON);
    lab.lab.succeed(&["down"]);
    tab.until("document.querySelector('#connection').dataset.connection === 'lost'", SOON);
    lab.lab.succeed(&["up", "load-balancer", "--page", &lab.address.to_string()]);
    tab.until("document.querySelector('#title').textContent.startsWith('5.')", SOON);
    tab.until("document.querySelector('[data-name=web-3]') !== null", SOON);
    drop(chrome);
    lab.down();
}
